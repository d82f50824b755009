"""Name, read and choose snapshots of the application's database; `docker/db/snapshot.sh` makes them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from berth.db import facts
from berth.db.facts import Facts
from berth.errors import Refused
from berth.nearest import did_you_mean

SCRIPT = "snapshot.sh"
PREFIX = "snapshot:"
"""What the script puts in front of a name to make it that of a database."""
LONGEST = 63 - len(PREFIX)
"""Bytes of a name: PostgreSQL takes 63."""
KEPT, DAYS = "DB_SNAPSHOTS_KEPT", "DB_SNAPSHOTS_DAYS"
"""Variables of `.env` that say how many snapshots named by Berth are kept, and for how long."""
DEFAULTS = {KEPT: 10, DAYS: 30}


class Snapshot(NamedTuple):
    """One line of `snapshot.sh list`.

    :param taken: when, in UTC; None: somebody changed the comment in which it stands.
    :param automatic: Berth gave it its name, and may delete it when it is old.
    """

    name: str
    size: int
    facts: Facts
    taken: datetime | None
    branch: str
    commit: str
    automatic: bool


def parse(lines: str) -> list[Snapshot]:
    """Return the snapshots in the output of `snapshot.sh list`, the newest last."""
    made = [_snapshot(json.loads(line)) for line in lines.splitlines() if line.strip()]
    return sorted(made, key=lambda one: (one.taken or datetime.min.replace(tzinfo=timezone.utc), one.name))


def _snapshot(row: dict[str, object]) -> Snapshot:
    try:
        known = json.loads(str(row["facts"]))
        described = facts.parse(str(row["facts"]))
        taken = datetime.strptime(known["taken"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except (ValueError, KeyError, TypeError):
        known, described, taken = {}, facts.parse("{}"), None
    return Snapshot(
        name=str(row["name"]),
        size=int(str(row["bytes"])),
        facts=described,
        taken=taken,
        branch=str(known.get("branch", "")),
        commit=str(known.get("commit", "")),
        automatic=known.get("automatic") is True,
    )


def automatic_name(branch: str, commit: str, now: datetime, taken: Collection[str]) -> str:
    """Return a name that sorts by time and says where in the history it was: `20261124-163000-main-1a2b3c4`.

    :param branch: empty without git, or where no branch is checked out.
    :param commit: empty without git.
    :param taken: the names that there are.
    """
    short = re.sub(r"[^A-Za-z0-9._]+", "-", branch).strip("-.")[:24]
    base = "-".join(filter(None, [f"{now:%Y%m%d-%H%M%S}", short, commit[:7]]))
    numbered = [base, *(f"{base}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in numbered if name not in taken)


def check_name(name: str) -> None:
    """:raises Refused: no snapshot can be called so."""
    size = len(name.encode(errors="surrogateescape"))
    if not name or not name.isprintable() or name != name.strip():
        raise Refused(f"a snapshot cannot be called {name!r}: use characters that can be seen, without blanks around")
    if size > LONGEST:
        raise Refused(f"the name `{name}` has {size} bytes: a snapshot's has {LONGEST} at most")


def check_new(name: str, there: Sequence[Snapshot], command: str) -> None:
    """:raises Refused: ``name`` cannot be given to a new snapshot."""
    check_name(name)
    if name in {one.name for one in there}:
        raise Refused(
            f"a snapshot `{name}` exists already: choose another name, or type `{command} db.drop-snapshot` with it"
        )


def check_there(names: Sequence[str], there: Sequence[Snapshot], command: str) -> None:
    """:raises Refused: one of ``names`` is no snapshot."""
    known = [one.name for one in there]
    for name in names:
        if name not in known:
            raise Refused(
                f"no snapshot is called `{name}`{did_you_mean(name, known)} Type `{command} db.snapshots` for the list"
            )


def limit(variable: str, value: str) -> int:
    """Return a limit of `.env`.

    :raises Refused: it is no whole number of 1 or more.
    """
    if not value:
        return DEFAULTS[variable]
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", value):
        raise Refused(f"{variable} is `{value}` in .env: write a whole number, 1 or more")
    return int(value)


def surplus(there: Sequence[Snapshot], kept: int, days: int, now: datetime) -> list[Snapshot]:
    """Return what is to be deleted: those named by Berth beyond the newest ``kept``, and those older than ``days``.

    What a person gave a name stays until a person drops it, and the newest one stays, however old.

    :param there: the snapshots, the newest last.
    """
    ours = [one for one in there if one.automatic and one.taken]
    old = now - timedelta(days=days)
    return [
        one
        for position, one in enumerate(reversed(ours))
        if position >= kept or (position > 0 and one.taken and one.taken < old)
    ]


def table(there: Sequence[Snapshot]) -> str:
    """Return the snapshots in columns."""
    rows = [("snapshot", "taken (UTC)", "size", "branch", "commit", "last migration")]
    for one in there:
        taken = f"{one.taken:%Y-%m-%d %H:%M}" if one.taken else ""
        rows.append((one.name, taken, facts.size(one.size), one.branch, one.commit, one.facts.migration))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def get_back(command: str, name: str) -> str:
    """Return what to type to have a snapshot back."""
    return f"to get it back: {command} db.restore {shlex.quote(name)}"
