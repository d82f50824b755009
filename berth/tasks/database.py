"""What the tasks of the database share: where it runs, what it holds, and whether somebody wants to lose that."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from subprocess import CompletedProcess

from berth import process
from berth.db import facts, snapshots
from berth.db.facts import Facts
from berth.db.snapshots import Snapshot
from berth.engines import Engine
from berth.errors import Refused

NOT_FOUND = (126, 127)


def service(engine: Engine, *, anew: bool = False) -> str:
    """Return the service that is the database, which is started where it does not run.

    :param anew: let it have the `.env` of now: one that runs may have been started with other names and passwords.
    """
    found = engine.stack().with_role("database")
    if anew or not any(one.service == found and one.state == "running" for one in engine.containers()):
        # Not until it is healthy: that means the application can log in, which may be what is to be mended.
        engine.up([found], wait=False)
    return found


def ask(engine: Engine, database: str, command: Sequence[str]) -> str:
    """Return what a script of the database answers.

    :raises Refused: it fails: with its own message.
    """
    answer = engine.read(database, command)
    if answer.returncode != 0:
        if engine.c.config.run.dry:
            return ""  # what would answer was not started
        raise Refused(complaint(engine, database, command, answer), code=answer.returncode)
    return answer.stdout


def complaint(engine: Engine, database: str, command: Sequence[str], answer: CompletedProcess[str]) -> str:
    """Return why a script failed, in its own words, or that the service has none."""
    if answer.returncode in NOT_FOUND:
        again = f"{engine.here.command()} up {database}"
        return f"the service {database} has no `{command[0]}`: it was started before there was one; type `{again}`"
    return answer.stderr.strip() or f"`{command[0]}` ended with {answer.returncode}"


def listed(engine: Engine, database: str) -> list[Snapshot]:
    """Return the snapshots, the newest last."""
    return snapshots.parse(ask(engine, database, [snapshots.SCRIPT, "list"]))


def described(engine: Engine, database: str) -> Facts:
    """Return what the application's database holds.

    :raises Refused: it is not there, or cannot be read.
    """
    return facts.parse(ask(engine, database, [snapshots.SCRIPT, "describe"]) or "{}")


def held(engine: Engine, database: str) -> str:
    """Return what the application's database holds, in words, or why nobody knows."""
    try:
        return described(engine, database).summary()
    except Refused as refused:
        return f"what cannot be read ({refused})"


def check_somebody_is_there(engine: Engine, words: str, *, yes: bool, does: str = "deletes data") -> None:
    """:raises Refused: nobody is there who could be asked, and ``yes`` is false.

    :param words: the task as it was typed.
    :param does: why it asks.
    """
    if not yes and not engine.c.config.run.dry and not sys.stdin.isatty():
        again = f"{engine.here.command()} {words} --yes"
        raise Refused(f"`{words.split()[0]}` {does} and nobody is there to ask: type `{again}`")


def consent(engine: Engine, question: str, *, yes: bool, done: str = "nothing was deleted") -> None:
    """Ask whether data may be deleted.

    :param done: what to say after any other answer.
    :raises Refused: the answer is not yes.
    """
    if yes or engine.c.config.run.dry:
        return
    try:
        answer = input(f"{question} [y/N] ")
    except (EOFError, KeyboardInterrupt):
        print(file=sys.stderr)
        raise Refused(done, code=process.INTERRUPTED) from None
    if answer.strip().lower() not in {"y", "yes"}:
        raise Refused(done)
