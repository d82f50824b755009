"""Look after the database."""

from __future__ import annotations

from invoke import Collection, Context, task

from berth import engines
from berth.arguments import Task
from berth.engines import Engine
from berth.errors import Refused
from berth.tasks import database as databases
from berth.tasks import dumps, inspection, migrations, postgres_upgrade, snapshots


@task(klass=Task, help={"yes": "Do not ask.", "snapshot": "Delete it without a snapshot to go back to."})
def reset_db(c: Context, yes: bool = False, snapshot: bool = True) -> None:
    """Delete the application's database, make it anew and bring the stack back, migrated."""
    engine = engines.choose(c)
    databases.check_somebody_is_there(engine, f"reset-db{'' if snapshot else ' --no-snapshot'}", yes=yes)
    stack = engine.stack()
    database = databases.service(engine, anew=True)
    name = stack.environment(database).get("DB_NAME", "")
    held, readable = _held(engine, database)
    databases.consent(engine, f"Delete the database `{name}` of the project {stack.project_name}: {held}?", yes=yes)
    if dependents := stack.dependents(database):
        engine.stop(dependents)
    if snapshot and readable:
        snapshots.take(engine, database, reason="reset-db")
    elif snapshot:
        print(f"no snapshot of the database `{name}`: {held}")
    engine.exec(database, ["reset-db.sh"])
    engine.up([])


@task(klass=Task)
def set_password(c: Context) -> None:
    """Give the roles of the database the passwords of .env, and bring the stack back; the data stays."""
    engine = engines.choose(c)
    engine.exec(databases.service(engine, anew=True), ["set-password.sh"])
    engine.up([])


def _held(engine: Engine, database: str) -> tuple[str, bool]:
    """Return what the database holds, or why nobody knows, which may be what a reset is to mend."""
    try:
        return databases.described(engine, database).summary(), True
    except Refused as refused:
        return f"it is not there, or cannot be read ({refused})", False


namespace = Collection(
    snapshots.snapshot,
    snapshots.restore,
    snapshots.list_,
    snapshots.drop_snapshot,
    dumps.dump,
    dumps.load,
    dumps.list_,
    dumps.pull,
    postgres_upgrade.upgrade,
    set_password,
    migrations.check_migrations,
    migrations.try_migrations,
    inspection.shell,
    inspection.url,
    inspection.ps,
    inspection.end_session,
    inspection.stats,
    inspection.diff,
)
