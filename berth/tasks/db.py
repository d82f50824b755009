"""Look after the database."""

from __future__ import annotations

import sys

from invoke import Context, task

from berth import engines, process
from berth.arguments import Task
from berth.errors import Refused


@task(klass=Task, help={"yes": "Do not ask."})
def reset_db(c: Context, yes: bool = False) -> None:
    """Delete the application's database, make it anew and bring the stack back, migrated."""
    engine = engines.choose(c)
    stack = engine.stack()
    database = stack.with_role("database")
    if not yes and not c.config.run.dry:
        name = stack.environment(database).get("DB_NAME", "")
        _consent(engine, f"Delete the database `{name}` of the project {stack.project_name}, with everything in it?")
    # Not until it is healthy: that means the application can log in, which may be what is to be mended.
    engine.up([database], wait=False)
    if dependents := stack.dependents(database):
        engine.stop(dependents)
    engine.exec(database, ["reset-db.sh"])
    engine.up([])


def _consent(engine: engines.Engine, question: str) -> None:
    """Ask whether data may be deleted.

    :raises Refused: the answer is not yes, or nobody is there to answer.
    """
    if not sys.stdin.isatty():
        command = engine.here.command()
        raise Refused(f"`reset-db` deletes data and nobody is there to ask: type `{command} reset-db --yes`")
    try:
        answer = input(f"{question} [y/N] ")
    except (EOFError, KeyboardInterrupt):
        print(file=sys.stderr)
        raise Refused("nothing was deleted", code=process.INTERRUPTED) from None
    if answer.strip().lower() not in {"y", "yes"}:
        raise Refused("nothing was deleted")
