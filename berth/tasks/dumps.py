"""Write the application's database into a file, and load it from one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from invoke import Context, task

from berth import engines
from berth.arguments import NamesTask, Task
from berth.db import difference, dumps
from berth.db.difference import Contents
from berth.db.dumps import SCRIPT, Known
from berth.engines import Engine
from berth.errors import Refused
from berth.stdio import Stdio
from berth.tasks import database as databases
from berth.tasks import inspection, snapshots

AFTER_LOAD = "DB_AFTER_LOAD_SQL"
"""Variable of `.env` that names a file of SQL to run on what was loaded, before anybody sees it."""
FILE = {"file": "A file, a folder of pg_dump, or a name of db.dumps."}
URL = {"url": "URL of the database; without it DATABASE_URL has it."}
LOADING = {
    "snapshot": "Keep no snapshot of what the database is now.",
    "other_project": "Load it though it looks like a dump of another project.",
    **snapshots.YES,
}


@task(klass=NamesTask, iterable=["file"], help={"file": "Where to; without it a name that says when, in .berth/dumps."})
def dump(c: Context, file: list[str]) -> None:
    """Write the database into a file: `inv db.dump [FILE]`."""
    engine = engines.choose(c)
    if len(file) > 1:
        raise Refused(f"`db.dump` takes one file, not {len(file)}: type `{engine.here.command()} db.dump FILE`")
    target = _named(file[0]) if file else new_file(engine)
    database = databases.service(engine)
    write(engine, database, "dump", target)


@task(klass=NamesTask, iterable=["file"], help={**FILE, **LOADING})
def load(c: Context, file: list[str], snapshot: bool = True, other_project: bool = False, yes: bool = False) -> None:
    """Put what is in a file in the place of the database, which becomes a snapshot: `inv db.load FILE`."""
    engine = engines.choose(c)
    if len(file) != 1:
        raise Refused(
            f"`db.load` takes one file, not {len(file)}: type `{engine.here.command()} db.dumps` for the list"
        )
    path = _found(engine, file[0])
    words = f"db.load {shlex.quote(file[0])}"
    again = _consent(engine, words, snapshot=snapshot, other_project=other_project, yes=yes)
    put(engine, databases.service(engine), path, snapshot=snapshot, again=again)


@task(klass=NamesTask, iterable=["url"], help={**URL, **LOADING})
def pull(c: Context, url: list[str], snapshot: bool = True, other_project: bool = False, yes: bool = False) -> None:
    """Copy the database of another server here, by a dump that is kept: `DATABASE_URL=... inv db.pull`."""
    engine = engines.choose(c)
    found = url[0] if len(url) == 1 else os.environ.get("DATABASE_URL", "")
    if len(url) > 1 or not found:
        raise Refused(f"`db.pull` takes one URL: type `DATABASE_URL=postgresql://... {engine.here.command()} db.pull`")
    settings = dumps.connection(found)
    again = _consent(engine, "db.pull", snapshot=snapshot, other_project=other_project, yes=yes)
    database, target = databases.service(engine), new_file(engine)
    write(engine, database, "pull", target, settings)
    put(engine, database, target, snapshot=snapshot, again=again)


@task(klass=Task, name="dumps")
def list_(c: Context) -> None:
    """List the dumps in .berth/dumps, the newest last."""
    from berth.db import storage

    files = storage.folder(engines.choose(c, idle=True).here.state).glob(f"*{dumps.ENDING}")
    rows = [(path.name, path.stat().st_size, dumps.read_known(path)) for path in files]
    print(dumps.table(sorted(rows, key=lambda row: (row[2].taken if row[2] else "", row[0]))))


def write(engine: Engine, database: str, verb: str, target: Path, stdin: bytes | None = None) -> Known | None:
    """Write a dump, whole or not at all, and return what is known of it; None in a dry run.

    :param verb: that of the script: `dump`, or `pull` with ``stdin``.
    :raises Refused: there is no whole dump.
    """
    from berth.db import storage

    token = os.urandom(4).hex()
    with storage.unfinished(target) as written:
        stdio = Stdio(stdin, written, storage.progress("written:"))
        engine.exec(database, [SCRIPT, verb, token], stdio=stdio)
        if engine.c.config.run.dry:
            return None
        storage.end_of_progress()
        branch, commit = snapshots.revision(engine)
        lines = databases.ask(engine, database, [SCRIPT, "facts", token])
        found = dumps.made(lines, sha256=storage.sha256(written), branch=branch, commit=commit)
        storage.finish(written, target, found)
    name = target.name if target.parent == storage.folder(engine.here.state) else str(target)
    rows = sum(found.contents.tables.values())
    print(f"{target}: {len(found.contents.tables)} tables, {rows} rows, {target.stat().st_size / 1e6:.1f} MB")
    print(f"to load it: {engine.here.command()} db.load {shlex.quote(name)}")
    return found


def put(engine: Engine, database: str, path: Path, *, snapshot: bool, again: str | None) -> None:
    """Put what is in a dump in the place of the database.

    :param again: what was typed, for advice to load a dump of another project; None: it is ours.
    :raises Refused: it cannot be; the database is as it was.
    """
    from berth.db import storage

    known = dumps.read_known(path)
    head = dumps.head(path)
    ours = _major(engine, database)
    dumps.check_version(path.name, known.server if known else head.server, ours)
    script = _after_load(engine)
    if not engine.c.config.run.dry and not path.is_dir():
        storage.check_sum(path, known)
    token = os.urandom(4).hex()
    with ExitStack() as stack:
        source = stack.enter_context(storage.packed(path)) if head.format == "directory" else path
        total = 0 if engine.c.config.run.dry else source.stat().st_size
        stdio = Stdio(source, None, storage.progress("read:", total))
        form = ["directory"] if head.format == "directory" else []
        engine.exec(database, [SCRIPT, "load", token, *form], stdio=stdio)
    with _forgotten(engine, database, token):
        storage.end_of_progress()
        if not engine.c.config.run.dry:
            loaded = _contents(engine, database, f"{dumps.SCRATCH}{token}")
            dumps.check_contents(path.name, known.contents if known else None, loaded)
            if again is not None:
                dumps.check_project(path.name, _current(engine, database), loaded, f"{again} --other-project")
        if script:
            engine.exec(database, [SCRIPT, "apply", token], stdio=Stdio(script))
        kept = snapshots.new_name(engine, database) if snapshot else ""
        engine.exec(database, [SCRIPT, "finish", token, *[kept] * snapshot])
    if snapshot and not engine.c.config.run.dry:
        snapshots.tell(engine, database, kept)


@contextmanager
def _forgotten(engine: Engine, database: str, token: str) -> Iterator[None]:
    """Take away what was loaded, where it cannot be used."""
    try:
        yield
    except BaseException:
        engine.read(database, [SCRIPT, "forget", token])
        raise


def _consent(engine: Engine, words: str, *, snapshot: bool, other_project: bool, yes: bool) -> str | None:
    """Ask whether the database may go, where no snapshot of it is kept.

    Return what was typed, for advice; None where it is not to matter whose dump it is.
    """
    words += " --other-project" * other_project
    if not snapshot:
        words += " --no-snapshot"
        databases.check_somebody_is_there(engine, words, yes=yes)
        held = databases.held(engine, databases.service(engine))
        databases.consent(engine, f"Replace the database, which holds {held}?", yes=yes)
    return None if other_project else f"{engine.here.command()} {words}"


def new_file(engine: Engine) -> Path:
    """Return the path of a new dump, under a name that says when and of which commit."""
    from berth.db import storage

    here = storage.folder(engine.here.state)
    taken = {path.name.removesuffix(dumps.ENDING) for path in here.glob(f"*{dumps.ENDING}")}
    return here / f"{snapshots.automatic_name(engine, taken)}{dumps.ENDING}"


def _named(file: str) -> Path:
    """Return the path of a new dump.

    :raises Refused: there is such a file, or no such folder.
    """
    path = Path(file).absolute()
    if path.exists():
        raise Refused(f"{file} exists already: choose another name")
    if not path.parent.is_dir():
        raise Refused(f"there is no folder {path.parent}: make it, or choose another one")
    return path


def _found(engine: Engine, file: str) -> Path:
    """:raises Refused: there is no such file."""
    from berth.db import storage

    kept = storage.folder(engine.here.state)
    for path in (Path(file).absolute(), kept / file, kept / f"{file}{dumps.ENDING}"):
        if path.exists():
            return path
    raise Refused(f"there is no file {file}, and no such dump: type `{engine.here.command()} db.dumps` for the list")


def _after_load(engine: Engine) -> Path | None:
    """Return the file of SQL that the project wants to run on what was loaded.

    :raises Refused: it is not there.
    """
    from berth.env import prepare

    name = prepare.value(engine.here, AFTER_LOAD)
    if not name:
        return None
    path = engine.here.root / name
    if not path.is_file():
        raise Refused(f"{AFTER_LOAD} in .env names {name}, which is not there: nothing was touched")
    return path


def _major(engine: Engine, database: str) -> int:
    """Return the major version of the server."""
    answer = databases.ask(engine, database, ["postgres", "--version"])
    found = [int(word.partition(".")[0]) for word in answer.split() if word[:1].isdigit()]
    return found[0] if found else 0


def _contents(engine: Engine, database: str, name: str) -> Contents:
    return difference.parse(databases.ask(engine, database, [inspection.SCRIPT, "count", name]))


def _current(engine: Engine, database: str) -> Contents:
    """Return what the database holds now; nothing where it is not there, which is why somebody loads one."""
    answer = engine.read(database, [inspection.SCRIPT, "count"])
    return difference.parse(answer.stdout) if answer.returncode == 0 else Contents({}, set())
