"""Look after `.env`."""

from __future__ import annotations

from invoke import Context, task

from berth import project
from berth.arguments import Task
from berth.engines.docker import client
from berth.env import prepare


@task(klass=Task)
def separate(c: Context) -> None:
    """Give this checkout a project name and ports of its own, after its .env was copied from another one."""
    here = project.current(c)
    if c.config.run.dry:
        return
    prepare.check(here)
    written = prepare.separate(here, lambda: client.projects(c, here))
    print(f"wrote {', '.join(f'{name}={value}' for name, value in written.items())} into .env")
