"""Say why containers did not start."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from subprocess import CompletedProcess
from typing import NamedTuple

from invoke import Context

from berth import process
from berth.compose import lines, ps, taken
from berth.compose.config import Stack
from berth.compose.ps import Container
from berth.engines.docker import lines as docker
from berth.project import Project

LOG_LINES = "20"
PASSWORD_REFUSED = 77
"""The exit code of docker/app/wait_for_database.py."""

Asked = Callable[[Sequence[str]], CompletedProcess[str]]
"""Runs a line for its output."""


class Why(NamedTuple):
    """
    :param in_vain: it would fail again and again.
    """

    text: str
    in_vain: bool = False


def failure(c: Context, here: Project, stack: Stack, variables: Mapping[str, str]) -> Why:
    """Return which services failed, with their health log and last lines, and how to do without a registry.

    :param variables: what the stack was started with.
    """

    def asked(line: Sequence[str]) -> CompletedProcess[str]:
        return process.capture(c, line, cwd=here.root, env=variables)

    found = _inspected(asked)
    failed = [container for container in found if container.failed] or [
        container for container in found if container.health == "starting"
    ]
    parts = [_container(asked, container, variables) for container in failed]
    if versions := next(filter(None, map(_of_another_major, parts)), None):
        return Why(_upgrade(versions, here), in_vain=True)  # all else follows from it
    if any(container.state == "exited" and container.exit_code == PASSWORD_REFUSED for container in failed):
        command = here.command()
        parts.append(
            f"the data was made with another password: type `{command} db.set-password`, which keeps it, or write the "
            "old one into .env"
        )
    waiting = [container.service for container in found if container.state == "created"]
    parts += taken.report(stack, waiting, lambda: _as_written(asked))
    present = set(asked(docker.images()).stdout.split())
    if missing := [image for image in stack.upstream_images() if image not in present]:
        parts.append(
            f"not on this machine: {', '.join(missing)}; if no registry can be reached, type "
            f"`{here.command()} images.base`, which builds replacements from packages, and repeat the command, or "
            "write BERTH_ENGINE=embedded into .env, which needs no images"
        )
    return Why("\n\n".join(parts))


def _of_another_major(said: str) -> tuple[str, str] | None:
    """Return the versions of data and server, where PostgreSQL refuses the data for them."""
    found = re.search(r"initialized by PostgreSQL version (\d+), which is not compatible with this version (\d+)", said)
    return (found[1], found[2]) if found else None


def _upgrade(versions: tuple[str, str], here: Project) -> str:
    data, server = versions
    return (
        f"the data was made by PostgreSQL {data}, and this server is {server}: type `{here.command()} db.upgrade`, "
        f"which keeps it, or name an image of PostgreSQL {data} in POSTGRES_IMAGE of .env"
    )


def _as_written(asked: Asked) -> Stack | None:
    answer = asked(lines.config_as_written())
    return Stack(answer.stdout) if answer.returncode == 0 else None


def _inspected(asked: Asked) -> list[Container]:
    names = [container.name for container in ps.containers(asked(lines.ps_json()).stdout)]
    return ps.inspected(asked(docker.inspect(names)).stdout) if names else []


def _container(asked: Asked, container: Container, variables: Mapping[str, str]) -> str:
    if container.state == "exited":
        said = [f"{container.service} failed: it exited with code {container.exit_code}"]
    elif container.state == "restarting" or container.restarts:
        said = [f"{container.service} failed: it ends again and again"]
    else:
        said = [f"{container.service} failed: it is {container.health or container.state}"]
    if container.said:
        said.append(f"its health check says: {container.said}")
    log = asked(lines.logs([container.service], tail=LOG_LINES)).stdout.rstrip()
    everything = process.line(lines.logs([container.service]), env=variables)
    return "\n".join([*said, f"its last lines (`{everything}` shows all):", log])
