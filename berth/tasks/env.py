"""Look after `.env`."""

from __future__ import annotations

from invoke import Context, task

from berth import project
from berth.arguments import Task
from berth.errors import Refused


@task(klass=Task)
def separate(c: Context) -> None:
    """Give this checkout a project name and ports of its own, after its .env was copied from another one."""
    from berth.engines.docker import client, mark  # not at every start of `inv`
    from berth.env import prepare

    here = project.current(c)
    if c.config.run.dry:
        return
    name = prepare.check(here).values.get("COMPOSE_PROJECT_NAME", "")
    if mark.read(here) == name:
        raise Refused(f"the project `{name}` is this checkout's own, with its data: nothing is to be separated")
    written = prepare.separate(here, lambda: client.projects(c, here))
    print(f"wrote {', '.join(f'{name}={value}' for name, value in written.items())} into .env")
