"""Choose the engine of a checkout, and never by a guess that would show another database."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from invoke import Context

from berth import env, project
from berth.engines.docker import client, mark
from berth.engines.docker.engine import Docker
from berth.env import prepare
from berth.errors import Refused
from berth.project import Project

if TYPE_CHECKING:
    from berth.engines import Engine

VARIABLE = "BERTH_ENGINE"
CHOICES = ("docker", "embedded", "auto")


def choose(c: Context, *, create: bool = False, idle: bool = False) -> Engine:
    """See `berth.engines.choose`."""
    here = project.current(c)
    wanted, source = _wanted(here)
    if wanted not in CHOICES:
        raise Refused(f"{VARIABLE} is `{wanted}` in {source}: write docker, embedded or auto")
    reason = None if wanted == "docker" else _why_embedded(c, here, wanted, source)
    if reason is None and not idle:
        client.check(c, here, thoroughly=create)
    _prepare(c, here, create=create)
    if reason is None:
        return Docker(c, here)
    from berth.engines.embedded.engine import Embedded  # it has much to import

    print(f"engine: embedded, without containers ({reason})", file=sys.stderr)
    return Embedded(c, here)


def _why_embedded(c: Context, here: Project, wanted: str, source: str) -> str | None:
    """Return why the services run without containers here, None: they do not."""
    if wanted == "embedded":
        return f"{VARIABLE}=embedded in {source}"
    if (here.state / "embedded" / "run").exists():
        return f"the services were started so; `{here.command()} down` ends that"
    missing = "docker is not installed" if shutil.which("docker") is None else client.short_complaint(c, here)
    if missing and (name := mark.read(here)):
        raise Refused(
            f"the services of this checkout ran in Docker, as the project `{name}`, and their data is there; now "
            f"{missing}: start Docker and repeat the command, or type {VARIABLE}=embedded in front of it for services "
            "without containers, with a database of their own"
        )
    return missing


def docker_engine(c: Context) -> Docker:
    """See `berth.engines.docker_engine`."""
    here = project.current(c)
    client.check(c, here, thoroughly=True)
    _prepare(c, here, create=True)
    return Docker(c, here)


def _prepare(c: Context, here: Project, *, create: bool) -> None:
    if create and not here.env_file.exists() and not c.config.run.dry:
        prepare.make(here, lambda: client.projects(c, here))
        prepare.keep_out_of_git(c, here)
    prepare.check(here)


def _wanted(here: Project) -> tuple[str, str]:
    """Return the value of BERTH_ENGINE, and where it comes from."""
    if value := os.environ.get(VARIABLE):
        return value, "the environment"
    try:
        return env.read(here.env_file, {}).values.get(VARIABLE) or "auto", ".env"
    except (FileNotFoundError, env.EnvError):
        # `prepare.check` explains these.
        return "auto", ".env"
