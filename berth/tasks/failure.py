"""Say why a stack did not start."""

from __future__ import annotations

from collections.abc import Mapping

from invoke import Context

from berth import compose, engine, process, project, services
from berth.tasks import ready

LOG_LINES = "20"


def explain(c: Context, stack: services.Stack, *, env: Mapping[str, str] | None = None) -> str:
    """Return which services failed, with their health log and last lines, and how to do without a registry.

    :param env: the variables that the stack was started with.
    """
    parts = [_container(c, container, env) for container in ready.containers(c, env) if container.failed]
    missing = _missing_images(c, stack)
    if missing:
        command = project.of(c).command()
        parts.append(
            f"not on this machine: {', '.join(missing)}; if no registry can be reached, type "
            f"`{command} images.base`, which builds replacements from packages, and repeat the command"
        )
    return "\n\n".join(parts)


def _container(c: Context, container: services.Container, env: Mapping[str, str] | None) -> str:
    root = project.of(c).root
    if container.state == "exited":
        lines = [f"{container.service} failed: it exited with code {container.exit_code}"]
    else:
        lines = [f"{container.service} failed: it is {container.health or container.state}"]
    health = process.capture(c, engine.health(container.name), cwd=root)
    if health.returncode == 0 and (said := engine.last_health_output(health.stdout)):
        lines.append(f"its health check says: {said}")
    log = process.capture(c, compose.logs([container.service], tail=LOG_LINES), cwd=root, env=env)
    all_lines = process.line(compose.logs([container.service]), env=env)
    lines += [f"its last lines (`{all_lines}` shows all):", log.stdout.rstrip()]
    return "\n".join(lines)


def _missing_images(c: Context, stack: services.Stack) -> list[str]:
    listed = process.capture(c, engine.images(), cwd=project.of(c).root)
    present = set(listed.stdout.split())
    return [image for image in stack.upstream_images() if image not in present]
