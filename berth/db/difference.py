"""Tell how two databases differ: in their tables, rows and migrations."""

from __future__ import annotations

import json
from typing import NamedTuple


class Contents(NamedTuple):
    """What `inspect-db.sh count` says of a database.

    :param tables: the number of rows of each table.
    :param migrations: those that were applied, as `app.name`.
    """

    tables: dict[str, int]
    migrations: set[str]


def parse(lines: str) -> Contents:
    """Return what the output of `inspect-db.sh count` says."""
    rows = [json.loads(line) for line in lines.splitlines() if line.strip()]
    return Contents(
        tables={name: int(count) for kind, name, count in rows if kind == "table"},
        migrations={name for kind, name, _ in rows if kind == "migration"},
    )


def table(first: Contents, second: Contents, names: tuple[str, str]) -> str:
    """Return what is not the same in both, in columns; one line says so where all is.

    Equal numbers of rows are no proof of equal rows: the table shows numbers only.

    :param names: what to call the two.
    """
    rows = [
        (name, _rows(first.tables.get(name)), _rows(second.tables.get(name)))
        for name in sorted({*first.tables, *second.tables})
        if first.tables.get(name) != second.tables.get(name)
    ]
    rows += [
        (f"migration {name}", _applied(name in first.migrations), _applied(name in second.migrations))
        for name in sorted(first.migrations ^ second.migrations)
    ]
    if not rows:
        return f"no difference: the same {len(first.tables)} tables, numbers of rows and migrations"
    shown = [("", *names), *rows]
    widths = [max(len(row[column]) for row in shown) for column in range(3)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in shown)
    return "\n".join(line.rstrip() for line in lines)


def _rows(count: int | None) -> str:
    if count is None:
        return "-"
    return "1 row" if count == 1 else f"{count} rows"


def _applied(there: bool) -> str:
    return "applied" if there else "-"
