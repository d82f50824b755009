"""Drive the services: in containers, or without them. Nothing else in Berth knows which of the two runs.

An engine is a module with the functions of `Engine`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Protocol

from invoke import Context, Exit

from berth import engine as docker_engine
from berth import env, process, project
from berth.engines import docker, ready

VARIABLE = "BERTH_ENGINE"
CHOICES = ("docker", "embedded", "auto")


class Engine(Protocol):
    """What the tasks of `berth.tasks.stack`, `django` and `database` ask for; see there for what each one does.

    All make sure of `.env` first, and raise `invoke.Exit` with one message when something is wrong.
    """

    def up(self, c: Context, names: Sequence[str], *, build: bool, attach: bool) -> None: ...
    def build(self, c: Context, names: Sequence[str], *, prod: bool, no_cache: bool, pull: bool) -> None: ...
    def logs(self, c: Context, names: Sequence[str], *, follow: bool, tail: str | None) -> None: ...
    def ps(self, c: Context, names: Sequence[str]) -> None: ...
    def config(self, c: Context) -> None: ...
    def exec_(self, c: Context, service: str, command: Sequence[str], *, user: str | None) -> None: ...
    def shell(self, c: Context, service: str | None) -> None: ...
    def stop(self, c: Context, names: Sequence[str]) -> None: ...
    def restart(self, c: Context, names: Sequence[str]) -> None: ...
    def down(self, c: Context) -> None: ...
    def manage(self, c: Context, command: Sequence[str]) -> None: ...
    def reset_db(self, c: Context, *, yes: bool) -> None: ...
    def test(self, c: Context, command: Sequence[str]) -> None: ...


def of(c: Context, *, create: bool = False) -> Engine:
    """Return the engine that BERTH_ENGINE asks for; say which one it is, and why, unless it is plainly Docker.

    :param create: the task makes `.env` where there is none.
    :raises Exit: BERTH_ENGINE names no engine, or `.env` is missing or has problems.
    """
    here = project.of(c)
    wanted, source = _wanted(here)
    if wanted not in CHOICES:
        raise Exit(f"{VARIABLE} is `{wanted}` in {source}: write docker, embedded or auto")
    if wanted == "docker":
        return docker
    if wanted == "embedded":
        reason = f"{VARIABLE}=embedded in {source}"
    elif here.state.run.exists():
        reason = f"the services were started so; `{here.command()} down` ends that"
    elif ready.files_of_engine():
        return docker
    else:
        answer = process.capture(c, docker_engine.version(), cwd=here.root, missing=True)
        if answer.returncode == 0:
            return docker
        reason = docker_engine.short_complaint(answer.stderr)
    # Docker does this itself, each task at its place; here it comes before the line that says what runs.
    ready.environment(c, create=create)
    from berth.engines import embedded  # not at every start of `inv`: it has much to import

    print(f"engine: embedded, without containers ({reason})", file=sys.stderr)
    return embedded


def test_in_container(c: Context, command: Sequence[str], *, image: str) -> None:
    """Test inside an image, whichever engine runs the services: there is no image without containers."""
    docker.test_in_container(c, command, image=image)


def base_images(c: Context) -> None:
    """Build the images that others are built on; they are of use to containers only."""
    docker.base_images(c)


def _wanted(here: project.Project) -> tuple[str, str]:
    """Return the value of BERTH_ENGINE, and where it comes from."""
    if value := os.environ.get(VARIABLE):
        return value, "the environment"
    try:
        return env.read(here.env_file, {}).values.get(VARIABLE) or "auto", ".env"
    except (FileNotFoundError, env.EnvError):
        # `ready.environment` explains these.
        return "auto", ".env"
