"""Know what is in a dump of a database, and whether it may be loaded; `docker/db/dump.sh` makes and loads them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from berth.db import difference, facts
from berth.db.difference import Contents
from berth.errors import Refused

SCRIPT = "dump.sh"
ENDING = ".dump"
SCRATCH = "unfinished:load "
"""What the script puts in front of a name to make it that of the database that a dump is loaded into."""
HEAD = 4096
"""Bytes of a file that are looked at."""
MAGIC = b"PGDMP"


class Known(NamedTuple):
    """What stands beside a dump, in `NAME.json`.

    :param sha256: of the file, in hexadecimal digits.
    :param server: the major version of the server.
    :param size: of the database on the server's disk, in bytes.
    :param taken: when, in UTC, as ISO 8601.
    """

    sha256: str
    server: int
    database: str
    size: int
    taken: str
    branch: str
    commit: str
    contents: Contents

    def text(self) -> str:
        """Return the text of the file."""
        written = self._asdict() | {"contents": None, "tables": self.contents.tables}
        del written["contents"]
        return json.dumps(written | {"migrations": sorted(self.contents.migrations)}, indent=1) + "\n"


def known(text: str) -> Known:
    """Return what the text of such a file says.

    :raises ValueError: it says something else.
    """
    try:
        found: dict[str, Any] = json.loads(text)
        contents = Contents(
            {str(name): int(count) for name, count in found.pop("tables").items()}, set(found.pop("migrations"))
        )
        return Known(**found, contents=contents)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not what stands beside a dump") from error


def made(lines: str, *, sha256: str, branch: str, commit: str) -> Known:
    """Return what is known of a dump that was just made.

    :param lines: the output of `dump.sh facts`.
    """
    first, _, rest = lines.partition("\n")
    said = json.loads(first)
    return Known(
        sha256=sha256,
        server=int(said["server"]),
        database=said["database"],
        size=int(said["bytes"]),
        taken=said["taken"],
        branch=branch,
        commit=commit,
        contents=difference.parse(rest),
    )


class Head(NamedTuple):
    """What the first bytes of a dump say.

    :param server: the major version of the server that it was made of; 0: they do not say.
    """

    format: str
    server: int


def head(path: Path) -> Head:
    """Return what a dump is, as far as its first bytes tell: a file, or the folder of a directory dump.

    :raises Refused: it cannot be read, or is no dump.
    """
    try:
        if path.is_dir():
            if not (path / "toc.dat").is_file():
                raise Refused(f"{path} is a folder without `toc.dat`: name a dump, a file or a folder of pg_dump")
            return Head("directory", _server((path / "toc.dat").read_bytes()[:HEAD]))
        with path.open("rb") as file:
            first = file.read(HEAD)
        if first.startswith(b"\x1f\x8b"):
            import gzip

            with gzip.open(path) as file:
                return Head("gzip", _server(file.read(HEAD)))
    except (OSError, EOFError) as error:
        raise Refused(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not first:
        raise Refused(f"{path} is empty")
    return Head("archive" if first.startswith(MAGIC) else "other", _server(first))


def _server(first: bytes) -> int:
    """Return the major version of the server in the header of an archive of pg_dump, or of plain SQL."""
    if not first.startswith(MAGIC):
        text = first.decode(errors="replace")
        found = re.search(r"^-- Dumped from database version (\d+)", text, re.M)
        return int(found[1]) if found else 0
    # See ReadHead in pg_backup_archiver.c of PostgreSQL: the archive's version, in three bytes; how long a number is,
    # besides a byte for its sign; two bytes more; the compression, a byte since 1.15 and a number before; seven numbers
    # that are a moment; and then three texts, each behind its length: the database, the server's version, pg_dump's.
    version, width = tuple(first[5:7]), first[8:9]
    if not width or width[0] not in {4, 8}:
        return 0
    number = 1 + width[0]
    at = 11 + (1 if version >= (1, 15) else number) + 7 * number
    length = int.from_bytes(first[at + 1 : at + number], "little")
    digits = re.match(rb"\d+", first[at + number + length + number :])
    return int(digits[0]) if digits else 0


def packed(folder: Path, target: Path) -> None:
    """Write a folder of pg_dump as one file, for a pipe."""
    import tarfile

    with tarfile.open(target, "w") as archive:
        for path in sorted(folder.iterdir()):
            if path.is_file():
                archive.add(path, path.name)


def check_version(dump: str, server: int, ours: int) -> None:
    """:raises Refused: the dump is of a newer server than ours."""
    if server > ours:
        raise Refused(
            f"{dump} was made by PostgreSQL {server}, the server here is {ours}: nothing was touched; "
            "load it into a server that is as new, or dump it in an older format with `pg_dump --format=plain`"
        )


def check_contents(dump: str, expected: Contents | None, loaded: Contents) -> None:
    """:raises Refused: what was loaded is not what the dump is known to hold."""
    if expected is None:
        return
    missing = expected.migrations - loaded.migrations
    wrong = [name for name, count in sorted(expected.tables.items()) if loaded.tables.get(name) != count]
    if wrong or missing:
        found = f"no migration {min(missing)}" if missing else ""
        for name in wrong[:1]:
            found = f"the table {name} has {loaded.tables.get(name, 'no')} rows, not {expected.tables[name]}"
        raise Refused(f"{dump} was not loaded as it was made: {found}")


def check_project(dump: str, ours: Contents, loaded: Contents, again: str) -> None:
    """Refuse the dump of another project.

    Another branch's lacks some apps of ours, or has some more; another project's does both.

    :param again: what to type to load it all the same.
    :raises Refused: it looks like that.
    """
    here, there = (_apps(contents) for contents in (ours, loaded))
    if here and (here - there) and (not there or there - here):
        lacking, foreign = (", ".join(sorted(apps)) or "none" for apps in (here - there, there - here))
        raise Refused(
            f"{dump} looks like a dump of another project: it has no migrations of {lacking}, and those of {foreign} "
            f"are not ours; the database is as it was. If you mean it, type `{again}`"
        )


def _apps(contents: Contents) -> set[str]:
    return {name.partition(".")[0] for name in contents.migrations}


def table(rows: Sequence[tuple[str, int, Known | None]]) -> str:
    """Return dumps in columns.

    :param rows: the name, the size in bytes and what is known of each.
    """
    shown = [("dump", "made (UTC)", "size", "database", "PostgreSQL", "branch", "commit", "rows")]
    for name, size, one in rows:
        said = ("", "", "", "", "", "")
        if one:
            total = str(sum(one.contents.tables.values()))
            taken = one.taken[:16].replace("T", " ")
            said = (taken, facts.size(one.size), str(one.server), one.branch, one.commit, total)
        shown.append((name, said[0], facts.size(size), *said[1:]))
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in shown)
    return "\n".join(line.rstrip() for line in lines)


def beside(path: Path) -> Path:
    """Return the file in which stands what is known of a dump."""
    return path.with_name(f"{path.name}.json")


def read_known(path: Path) -> Known | None:
    """Return what is known of a dump, if something is.

    :raises Refused: what stands beside it cannot be read.
    """
    with suppress(FileNotFoundError):
        try:
            return known(beside(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise Refused(
                f"{beside(path)} does not say what the dump holds ({error}): move it away to load the dump unchecked"
            ) from None
    return None


_PARAMETERS: Mapping[str, str] = {
    "sslmode": "PGSSLMODE",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "application_name": "PGAPPNAME",
    "options": "PGOPTIONS",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "sslnegotiation": "PGSSLNEGOTIATION",
}


def connection(url: str) -> bytes:
    """Return the variables that lead libpq to a server, as `dump.sh pull` reads them.

    :param url: as Django's libraries and libpq write it; `postgres`, `postgresql` and `postgis` are one.
    :raises Refused: it leads to no PostgreSQL server.
    """
    from urllib.parse import parse_qsl, unquote, urlsplit  # not at every start of `inv`

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused(f"DATABASE_URL is no URL: {error}") from None
    name = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in {"postgres", "postgresql", "postgis"} or not parts.hostname or not name:
        raise Refused("DATABASE_URL leads to no PostgreSQL server: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    values = {
        "PGHOST": unquote(parts.hostname),
        "PGPORT": str(port or 5432),
        "PGDATABASE": name,
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
    }
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in _PARAMETERS:
            raise Refused(f"DATABASE_URL has the parameter `{key}`, which db.pull does not know: leave it out")
        values[_PARAMETERS[key]] = value
    if any("\0" in value for value in values.values()):
        raise Refused("DATABASE_URL holds a NUL, which no server takes")
    return b"".join(f"{name}={value}\0".encode() for name, value in values.items() if value)
