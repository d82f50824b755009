"""Judge migrations by what they say, and by what they do to a copy of the data."""

from __future__ import annotations

import os

from invoke import Context, task

from berth import engines
from berth.arguments import NamesTask, Task
from berth.db import dumps, snapshots
from berth.engines import Engine
from berth.errors import Refused
from berth.tasks import database as databases

CHECK = "check-migrations"


@task(klass=Task)
def check_migrations(c: Context) -> None:
    """Find migrations that are missing, in conflict, cannot be undone, or break a rolling release."""
    engine = engines.choose(c)
    engine.exec(_app(engine), [CHECK])


@task(
    klass=NamesTask,
    iterable=["snapshot"],
    help={"snapshot": "A snapshot from before the migrations; without one the database as it is now."},
)
def try_migrations(c: Context, snapshot: list[str]) -> None:
    """Migrate a copy of a snapshot forward, back and forward again: `inv db.try-migrations [SNAPSHOT]`."""
    engine = engines.choose(c)
    if len(snapshot) > 1:
        raise Refused(
            f"`db.try-migrations` takes one snapshot, not {len(snapshot)}: type `{engine.here.command()} db.snapshots`"
        )
    app, database = _app(engine), databases.service(engine)
    if snapshot:
        snapshots.check_there(snapshot, databases.listed(engine, database), engine.here.command())
    token = os.urandom(4).hex()
    engine.exec(database, [dumps.SCRIPT, "copy", token, *snapshot])
    try:
        engine.exec(app, [CHECK, "try", f"{dumps.SCRATCH}{token}"])
    finally:
        engine.read(database, [dumps.SCRIPT, "forget", token])


def _app(engine: Engine) -> str:
    """Return the service of the project, which is started, with what it needs, where it does not run."""
    app = engine.stack().with_role("app")
    if not any(one.service == app and one.state == "running" for one in engine.containers()):
        engine.up([app])
    return app
