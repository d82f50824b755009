"""Say what a database holds."""

from __future__ import annotations

import json
from typing import NamedTuple

UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Facts(NamedTuple):
    """What `snapshot.sh describe` says of the application's database.

    :param size: in bytes, on disk.
    :param rows: as the server estimates them.
    :param migration: the last one that was applied, as `app.name`, or "".
    """

    database: str
    size: int
    tables: int
    rows: int
    migration: str

    def summary(self) -> str:
        """Return what would be lost with it, for a question."""
        last = f", last migration {self.migration}" if self.migration else ", no migration"
        return f"{size(self.size)}, {self.tables} tables, about {self.rows} rows{last}"


def parse(line: str) -> Facts:
    """Return what one line of JSON says, with defaults for what it does not.

    :raises ValueError: it is no JSON object.
    """
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return Facts(
        database=str(found.get("database", "")),
        size=int(found.get("bytes", 0)),
        tables=int(found.get("tables", 0)),
        rows=int(found.get("rows", 0)),
        migration=str(found.get("migration", "")),
    )


def size(count: int) -> str:
    """Return a number of bytes for people, in steps of 1024 as PostgreSQL's `pg_size_pretty` has them."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {UNITS[unit]}" if unit == 0 or value >= 10 else f"{value:.1f} {UNITS[unit]}"
