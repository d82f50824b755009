"""Keep the state of the application's database, and go back to it: copies inside the server."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence, Set
from datetime import datetime, timezone

from invoke import Context, task

from berth import engines, process
from berth.arguments import NamesTask, Task
from berth.db import snapshots
from berth.db.snapshots import SCRIPT
from berth.engines import Engine
from berth.errors import Refused
from berth.tasks import database as databases

YES = {"yes": "Do not ask."}


@task(klass=NamesTask, iterable=["name"], help={"name": "Its name; without one it says when, and of which commit."})
def snapshot(c: Context, name: list[str]) -> None:
    """Keep the database as it is now, in a copy inside the server: `inv db.snapshot [NAME]`."""
    engine = engines.choose(c)
    wanted = _one(engine, "db.snapshot", name) if name else None
    take(engine, databases.service(engine), wanted)


@task(
    klass=NamesTask,
    iterable=["name"],
    help={
        "name": "The snapshot to go back to, as `inv db.snapshots` shows it.",
        "snapshot": "Keep no snapshot of what the database is now.",
        "move": "Copy nothing, which takes no time: the snapshot becomes the database, and is none any more.",
        **YES,
    },
)
def restore(c: Context, name: list[str], snapshot: bool = True, move: bool = False, yes: bool = False) -> None:
    """Put a snapshot in the place of the database, which becomes a snapshot: `inv db.restore NAME`."""
    engine = engines.choose(c)
    wanted = _one(engine, "db.restore", name)
    if not snapshot:
        databases.check_somebody_is_there(
            engine, f"db.restore {shlex.quote(wanted)} --no-snapshot{' --move' * move}", yes=yes
        )
    database = databases.service(engine)
    there = databases.listed(engine, database)
    snapshots.check_there([wanted], there, engine.here.command())
    kept = ""
    if snapshot:
        kept = automatic_name(engine, {one.name for one in there})
    else:
        databases.consent(engine, f"Replace the database, which holds {databases.held(engine, database)}?", yes=yes)
    engine.exec(database, [SCRIPT, "move" if move else "restore", wanted, *[kept] * snapshot])
    if snapshot and not c.config.run.dry:
        tell(engine, database, kept, "" if move else wanted)


@task(klass=Task, name="snapshots")
def list_(c: Context) -> None:
    """List the snapshots of the database, the newest last."""
    engine = engines.choose(c)
    print(snapshots.table(databases.listed(engine, databases.service(engine))))


@task(klass=NamesTask, iterable=["name"], help={"name": "A snapshot; type any number of them.", **YES})
def drop_snapshot(c: Context, name: list[str], yes: bool = False) -> None:
    """Delete snapshots: `inv db.drop-snapshot NAME`."""
    engine = engines.choose(c)
    if not name:
        raise Refused(f"`db.drop-snapshot` needs a name: type `{engine.here.command()} db.snapshots` for the list")
    databases.check_somebody_is_there(engine, shlex.join(["db.drop-snapshot", *name]), yes=yes)
    database = databases.service(engine)
    there = databases.listed(engine, database)
    snapshots.check_there(name, there, engine.here.command())
    held = "; ".join(f"`{one.name}` ({one.facts.summary()})" for one in there if one.name in name)
    databases.consent(engine, f"Delete the snapshots {held}?", yes=yes)
    engine.exec(database, [SCRIPT, "drop", *dict.fromkeys(name)])


def take(engine: Engine, database: str, name: str | None = None, *, reason: str = "") -> str:
    """Take a snapshot, say how to get it back, delete those that are too old, and return its name.

    :param name: None: one that says when, and of which commit.
    :param reason: which task takes it before it destroys what is there.
    :raises Refused: there can be no such snapshot.
    :raises Exit: the script failed, and said why.
    """
    command = engine.here.command()
    there = databases.listed(engine, database)
    from berth.env import prepare  # not at every start of `inv`

    kept, days = (snapshots.limit(one, prepare.value(engine.here, one)) for one in (snapshots.KEPT, snapshots.DAYS))
    chosen = name or automatic_name(engine, {one.name for one in there})
    snapshots.check_new(chosen, there, command)
    branch, commit = revision(engine)
    facts = {"branch": branch, "commit": commit, "reason": reason, "automatic": name is None}
    engine.exec(database, [SCRIPT, "take", chosen, json.dumps({key: value for key, value in facts.items() if value})])
    if not engine.c.config.run.dry:
        print(snapshots.get_back(command, chosen))
        _prune(engine, database, kept, days)
    return chosen


def _prune(engine: Engine, database: str, kept: int, days: int) -> None:
    old = snapshots.surplus(databases.listed(engine, database), kept, days, datetime.now(timezone.utc))
    if old:
        print(f"{snapshots.KEPT}={kept}, {snapshots.DAYS}={days}: of those that Berth named, the oldest go")
        engine.exec(database, [SCRIPT, "drop", *(one.name for one in old)])


def _one(engine: Engine, words: str, names: Sequence[str]) -> str:
    """:raises Refused: there is not one name, or nothing can be called so."""
    if len(names) != 1:
        example = f"{engine.here.command()} {words} {shlex.quote(names[0]) if names else 'NAME'}"
        raise Refused(f"`{words}` takes one name, not {len(names)}: type `{example}`")
    snapshots.check_name(names[0])
    return names[0]


def automatic_name(engine: Engine, taken: Set[str]) -> str:
    """Return a name that says when and of which commit.

    :param taken: those that there are.
    """
    return snapshots.automatic_name(*revision(engine), datetime.now(timezone.utc), taken)


def new_name(engine: Engine, database: str) -> str:
    """Return such a name for a snapshot."""
    return automatic_name(engine, {one.name for one in databases.listed(engine, database)})


def revision(engine: Engine) -> tuple[str, str]:
    """Return the branch and the commit that are checked out, empty where there is none."""
    answers = (
        process.capture(engine.c, line, cwd=engine.here.root, missing=True)
        for line in (["git", "branch", "--show-current"], ["git", "rev-parse", "--short", "HEAD"])
    )
    branch, commit = (answer.stdout.strip() if answer.returncode == 0 else "" for answer in answers)
    return branch, commit


def tell(engine: Engine, database: str, kept: str, wanted: str = "") -> None:
    """Say how to undo what replaced the database, and whether the code may have other migrations than it has now.

    :param kept: the snapshot of what it was.
    :param wanted: the snapshot that it is now; empty: it is none.
    """
    there = {one.name: one for one in databases.listed(engine, database)}
    if kept not in there:
        return  # there was no database to keep
    print(snapshots.get_back(engine.here.command(), kept))
    now = (there[wanted].facts if wanted else databases.described(engine, database)).migration or "none"
    before = there[kept].facts.migration or "none"
    if before != now:
        again = f"{engine.here.command()} manage migrate"
        print(f"its last migration is {now}, it was {before}: type `{again}` to have those of the code")
