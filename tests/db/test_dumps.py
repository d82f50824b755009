"""What is known of dumps, and which of them may be loaded."""

from __future__ import annotations

import gzip
import json
import platform
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.db import dumps, storage
from berth.db.difference import Contents
from berth.errors import Refused

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)


def archive(database: str, server: str, client: str) -> bytes:
    """Return the header of a custom archive as pg_dump 18 writes it."""

    def string(text: str) -> bytes:
        return b"\0" + len(text.encode()).to_bytes(4, "little") + text.encode()

    moment = b"".join(b"\0" + number.to_bytes(4, "little") for number in (1, 2, 3, 24, 10, 126, 0))
    return (
        b"PGDMP\x01\x10\x00\x04\x08\x01\x02" + moment + string(database) + string(server) + string(client) + bytes(4000)
    )


@given(database=TEXT, server=st.integers(9, 30), client=st.integers(9, 30))
def test_the_header_of_an_archive_tells_the_server(
    tmp_path_factory: pytest.TempPathFactory, database: str, server: int, client: int
) -> None:
    path = tmp_path_factory.mktemp("header") / "a.dump"
    path.write_bytes(archive(database, f"{server}.6 (Debian {server}.6-3)", f"{client}.1"))
    assert dumps.head(path) == ("archive", server)


@pytest.mark.parametrize("packed", [False, True])
def test_the_header_of_plain_sql_tells_the_server(tmp_path: Path, packed: bool) -> None:
    text = b"--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 17.2 (Debian)\n"
    (tmp_path / "a").write_bytes(gzip.compress(text) if packed else text)
    assert dumps.head(tmp_path / "a").server == 17


@given(st.binary(max_size=200))
def test_any_file_has_a_head_or_is_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("head") / "a"
    path.write_bytes(content)
    try:
        assert dumps.head(path).format in {"archive", "gzip", "other"}
    except Refused as refused:
        assert refused.message and "\n" not in refused.message


def test_a_newer_dump_is_refused_and_an_older_one_is_not() -> None:
    dumps.check_version("a", 17, 18)
    dumps.check_version("a", 0, 18)
    with pytest.raises(Refused, match=r"^a was made by PostgreSQL 19, the server here is 18: nothing was touched"):
        dumps.check_version("a", 19, 18)


def contents(*migrations: str, **tables: int) -> Contents:
    return Contents(tables, set(migrations))


@pytest.mark.parametrize(
    ("ours", "loaded", "refused"),
    [
        (("auth.1", "shop.1"), ("auth.1", "shop.1"), False),
        (("auth.1", "shop.1"), ("auth.1",), False),
        (("auth.1",), ("auth.1", "shop.1"), False),
        ((), ("blog.1",), False),
        (("auth.1", "shop.1"), ("auth.1", "blog.1"), True),
        (("auth.1", "shop.1"), (), True),
    ],
)
def test_another_project_lacks_apps_and_has_others(
    ours: tuple[str, ...], loaded: tuple[str, ...], refused: bool
) -> None:
    if not refused:
        dumps.check_project("a", contents(*ours), contents(*loaded), "again")
        return
    with pytest.raises(Refused, match="looks like a dump of another project"):
        dumps.check_project("a", contents(*ours), contents(*loaded), "again")


def test_what_was_loaded_is_compared_with_what_was_dumped() -> None:
    expected = contents("shop.1", mark=3)
    dumps.check_contents("a", expected, contents("shop.1", mark=3, other=1))
    dumps.check_contents("a", None, contents())
    with pytest.raises(Refused, match="the table mark has 2 rows, not 3"):
        dumps.check_contents("a", expected, contents("shop.1", mark=2))
    with pytest.raises(Refused, match=r"no migration shop\.1"):
        dumps.check_contents("a", expected, contents(mark=3))


@given(user=TEXT, password=TEXT, name=TEXT)
def test_any_user_password_and_name_reach_libpq(user: str, password: str, name: str) -> None:
    from urllib.parse import quote

    url = f"postgres://{quote(user, safe='')}:{quote(password, safe='')}@db.example:5433/{quote(name, safe='')}?sslmode=require"
    made = dict(row.split("=", 1) for row in dumps.connection(url).decode().rstrip("\0").split("\0"))
    assert made == {
        "PGHOST": "db.example",
        "PGPORT": "5433",
        "PGDATABASE": name,
        "PGUSER": user,
        "PGPASSWORD": password,
        "PGSSLMODE": "require",
    }


@pytest.mark.parametrize(
    "url", ["", "app", "mysql://a/b", "postgres:///b", "postgres://a", "postgres://a:x/b", "postgres://a/b?x=1"]
)
def test_what_leads_nowhere_is_refused_without_the_password(url: str) -> None:
    with pytest.raises(Refused, match=r"^DATABASE_URL "):
        dumps.connection(url)


def test_what_stands_beside_a_dump_is_read_back(tmp_path: Path) -> None:
    lines = "\n".join(
        [
            json.dumps({"database": "a b", "bytes": 5, "server": 18, "taken": "2026-11-24T19:44:43Z"}),
            '["table", "public.mark", 3]',
            '["migration", "shop.1", 1]',
        ]
    )
    known = dumps.made(lines, sha256="ab", branch="main", commit="")
    path = tmp_path / "a.dump"
    with storage.unfinished(path) as written:
        written.write_bytes(b"x")
        storage.finish(written, path, known)
    assert dumps.read_known(path) == known
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.dump", "a.dump.json"]
    assert "a.dump  2026-11-24 19:44  1 bytes" in dumps.table([("a.dump", 1, known)])
    with pytest.raises(Refused, match="its checksum is another one"):
        storage.check_sum(path, known)


def test_a_dump_never_takes_the_name_of_another(tmp_path: Path) -> None:
    path = tmp_path / "a.dump"
    path.write_bytes(b"old")
    known = dumps.Known("", 18, "", 0, "", "", "", contents())
    with storage.unfinished(path) as written, pytest.raises(Refused, match="exists already"):
        written.write_bytes(b"new")
        storage.finish(written, path, known)
    assert path.read_bytes() == b"old"


def test_what_a_killed_task_has_left_goes_and_what_runs_stays(tmp_path: Path) -> None:
    # A number that no process has.
    left = tmp_path / f".a.dump.{platform.node()}.4194999.unfinished"
    for path in (left, left.with_name(f"{left.name}.json"), tmp_path / ".other.1.unfinished"):
        path.write_bytes(b"half")
    with storage.unfinished(tmp_path / "b.dump") as first:
        first.write_bytes(b"")
        with storage.unfinished(tmp_path / "c.dump"):
            assert {path.name for path in tmp_path.iterdir()} == {first.name, ".other.1.unfinished"}


def test_whatever_looks_into_the_folder_of_dumps_clears_it(tmp_path: Path) -> None:
    left = storage.folder(tmp_path) / f".a.dump.{platform.node()}.4194999.unfinished"
    left.write_bytes(b"half")
    assert list(storage.folder(tmp_path).iterdir()) == []
