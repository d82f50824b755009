"""Look after the database."""

from __future__ import annotations

import sys

from invoke import Context, Exit, task

from berth import compose, process
from berth.project import Project
from berth.tasks import ready
from berth.tasks.failure import failure


@task(help={"yes": "Do not ask."})
def reset_db(c: Context, yes: bool = False) -> None:
    """Delete the application's database, make it anew and bring the stack back, migrated."""
    here = ready.environment(c)
    ready.engine(c)
    stack = ready.stack(c)
    database = ready.role(stack, "database")
    name = stack.environment(database).get("DB_NAME", "")
    if not yes and not c.config.run.dry:
        _ask(f"Delete the database `{name}` of the project {stack.project_name}, with everything in it? [y/N] ", here)
    process.run(c, compose.up([database]), cwd=here.root)
    process.run(c, compose.stop(stack.dependents(database)), cwd=here.root)
    process.run(c, compose.exec_(database, ["reset-db.sh"], terminal=False), cwd=here.root)
    code = process.run(c, compose.up(), cwd=here.root, check=False)
    if code != 0:
        raise failure(c, stack, code)


def _ask(question: str, here: Project) -> None:
    """:raises Exit: the answer is not yes, or nobody is there to answer."""
    if not sys.stdin.isatty():
        raise Exit(f"`reset-db` deletes data and nobody is there to ask: type `{here.command()} reset-db --yes`")
    try:
        answer = input(question)
    except (EOFError, KeyboardInterrupt):
        print(file=sys.stderr)
        raise Exit("nothing was deleted", code=process.INTERRUPTED) from None
    if answer.strip().lower() not in {"y", "yes"}:
        raise Exit("nothing was deleted", code=1)
