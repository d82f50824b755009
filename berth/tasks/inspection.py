"""Look into the application's database."""

from __future__ import annotations

import shlex

from invoke import Context, task

from berth import engines
from berth.arguments import NamesTask, Task, WrapperTask
from berth.db import difference, snapshots
from berth.db import url as urls
from berth.db.difference import Contents
from berth.engines import Engine
from berth.errors import Refused
from berth.tasks import database as databases

SCRIPT = "inspect-db.sh"


@task(
    klass=WrapperTask,
    iterable=["command"],
    help={"superuser": "As the superuser, not as the application's role.", "command": "Arguments for psql."},
    auto_shortflags=False,
)
def shell(c: Context, command: list[str], superuser: bool = False) -> None:
    """Open psql on the database, as the application's role: `inv db.shell [ARGUMENTS]`."""
    engine = engines.choose(c)
    engine.exec(databases.service(engine), [SCRIPT, "superuser" if superuser else "shell", *command])


@task(klass=Task, help={"reveal": "Show the password, too."})
def url(c: Context, reveal: bool = False) -> None:
    """Print the URL of the database, for programs of this machine."""
    stack = engines.choose(c).stack()
    database = stack.with_role("database")
    values, addresses = stack.environment(database), stack.addresses(database)
    if not addresses:
        raise Refused(f"the service {database} publishes no port: give it one in `ports:` of the compose file")
    password = values.get("DB_PASSWORD", "") if reveal else None
    print(
        urls.url(
            user=values.get("DB_USER", ""), password=password, address=addresses[0], name=values.get("DB_NAME", "")
        )
    )


@task(klass=Task)
def ps(c: Context) -> None:
    """List the sessions of the database, what they run, their locks and whom they wait for."""
    engine = engines.choose(c)
    engine.exec(databases.service(engine), [SCRIPT, "ps"])


@task(klass=NamesTask, name="kill", iterable=["pid"], help={"pid": "The session, as `inv db.ps` shows it."})
def end_session(c: Context, pid: list[str]) -> None:
    """End a session of the database: `inv db.kill PID`."""
    engine = engines.choose(c)
    if len(pid) != 1 or not (pid[0].isascii() and pid[0].isdigit()):
        given = f", not `{shlex.join(pid)}`" if pid else ""
        raise Refused(f"`db.kill` takes one PID, a number{given}: type `{engine.here.command()} db.ps` for the list")
    engine.exec(databases.service(engine), [SCRIPT, "kill", pid[0]])


@task(klass=Task)
def stats(c: Context) -> None:
    """Show what is large in the database, which indexes are never used, and which statements are slow."""
    engine = engines.choose(c)
    engine.exec(databases.service(engine), [SCRIPT, "stats"])


@task(klass=NamesTask, iterable=["name"], help={"name": "A snapshot; without a second one it is compared with now."})
def diff(c: Context, name: list[str]) -> None:
    """Compare a snapshot with the database, or two snapshots: `inv db.diff A [B]`: tables, rows, migrations."""
    engine = engines.choose(c)
    if not 1 <= len(name) <= 2:
        raise Refused(
            f"`db.diff` takes one snapshot or two, not {len(name)}: type `{engine.here.command()} db.diff NAME`"
        )
    database = databases.service(engine)
    snapshots.check_there(name, databases.listed(engine, database), engine.here.command())
    first = _contents(engine, database, name[0])
    second = _contents(engine, database, name[1]) if len(name) == 2 else _contents(engine, database, None)
    print(difference.table(first, second, (name[0], name[1] if len(name) == 2 else "now")))


def _contents(engine: Engine, database: str, snapshot: str | None) -> Contents:
    """:param snapshot: None: the database as it is now."""
    other = [] if snapshot is None else [f"{snapshots.PREFIX}{snapshot}"]
    return difference.parse(databases.ask(engine, database, [SCRIPT, "count", *other]))
