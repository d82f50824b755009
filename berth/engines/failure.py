"""Say why a stack did not start."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from invoke import Context, Exit

from berth import compose, engine, ports, process, project, services
from berth.engines import ready

LOG_LINES = "20"


def failure(c: Context, stack: services.Stack, code: int, *, env: Mapping[str, str] | None = None) -> Exit:
    """Return the end of a task whose start of the stack ended with ``code``: says why, unless somebody typed Ctrl-C.

    :param env: the variables that the stack was started with.
    """
    return Exit(code=code) if code == process.INTERRUPTED else Exit(_explain(c, stack, env), code=code)


def _explain(c: Context, stack: services.Stack, env: Mapping[str, str] | None) -> str:
    """Return which services failed, with their health log and last lines, and how to do without a registry."""
    found = _inspected(c, env)
    failed = [container for container in found if container.failed] or [
        container for container in found if container.health == "starting"
    ]
    parts = [_container(c, container, env) for container in failed]
    parts += _taken_ports(c, stack, [container.service for container in found if container.state == "created"])
    missing = _missing_images(c, stack)
    if missing:
        command = project.of(c).command()
        parts.append(
            f"not on this machine: {', '.join(missing)}; if no registry can be reached, type "
            f"`{command} images.base`, which builds replacements from packages, and repeat the command, or write "
            "BERTH_ENGINE=embedded into .env, which needs no images"
        )
    return "\n\n".join(parts)


def _inspected(c: Context, env: Mapping[str, str] | None) -> list[services.Container]:
    names = [container.name for container in ready.containers(c, env)]
    if not names:
        return []
    return services.inspected(process.capture(c, engine.inspect(names), cwd=project.of(c).root).stdout)


def _container(c: Context, container: services.Container, env: Mapping[str, str] | None) -> str:
    root = project.of(c).root
    if container.state == "exited":
        lines = [f"{container.service} failed: it exited with code {container.exit_code}"]
    elif container.state == "restarting" or container.restarts:
        lines = [f"{container.service} failed: it ends again and again"]
    else:
        lines = [f"{container.service} failed: it is {container.health or container.state}"]
    if container.said:
        lines.append(f"its health check says: {container.said}")
    log = process.capture(c, compose.logs([container.service], tail=LOG_LINES), cwd=root, env=env)
    all_lines = process.line(compose.logs([container.service]), env=env)
    lines += [f"its last lines (`{all_lines}` shows all):", log.stdout.rstrip()]
    return "\n".join(lines)


def _taken_ports(c: Context, stack: services.Stack, waiting: Sequence[str]) -> list[str]:
    """Return a sentence for each port of the ``waiting`` services that something else listens on."""
    taken = [
        (service, position, host, port)
        for service in waiting
        for position, (host, port) in enumerate(stack.published(service))
        if port.isdigit() and ports.is_taken(host, int(port))
    ]
    if not taken:
        return []
    written = services.Stack(process.capture(c, compose.config_as_written(), cwd=project.of(c).root).stdout)
    sentences = []
    for service, position, host, port in taken:
        variable = re.match(r"\$\{(\w+)", written.published(service)[position][1])
        cure = f"set {variable[1]} in .env to a free one" if variable else "publish another one in the compose file"
        sentences.append(f"port {port} of {host}, for {service}, is taken by another program: {cure}")
    return sentences


def _missing_images(c: Context, stack: services.Stack) -> list[str]:
    listed = process.capture(c, engine.images(), cwd=project.of(c).root)
    present = set(listed.stdout.split())
    return [image for image in stack.upstream_images() if image not in present]
