"""A disk that is full, and a role that is missing: snapshot.sh and dump.sh say so, and lose nothing."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from servers import ROOT, SUPERUSER, UNPRIVILEGED, Postgres, free_port, installed_binaries, unavailable

SCRIPTS = ROOT / "docker/db"
NAME, USER = "Ünï \"q\" 'd' $b \\ :x %I=1", "ro-le \\ $U @:x 'q' \"r\""
SIZE_MB = 700


@pytest.fixture(scope="module")
def small(start_postgres: Callable[..., Postgres]) -> Iterator[Postgres]:
    """A server on a small disk of its own, with a database of odd names."""
    if os.getuid() != 0:
        unavailable("only root can mount a small disk")
    with tempfile.TemporaryDirectory(prefix="berth-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        directory = Path(folder) / "cluster"
        directory.mkdir()
        line = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "small", str(directory)]
        if subprocess.run(line, capture_output=True).returncode:
            unavailable("no disk can be mounted here")
        try:
            server = Postgres(list(installed_binaries().values())[-1], directory, free_port())
            server.initialise()
            server.start()
            server.initialise_application(NAME, USER, "secret")
            sql(server, "CREATE TABLE mark AS SELECT n, md5(n::text) FROM generate_series(1, 200000) AS n")
            assert run(server, "snapshot.sh", "take", "kept").returncode == 0
            yield server
            server.stop()
        finally:
            subprocess.run(["umount", "--lazy", directory], check=False)


def run(server: Postgres, script: str, *words: str, stdin: Path | None = None) -> subprocess.CompletedProcess[str]:
    variables = {"DB_NAME": NAME, "DB_USER": USER, "DB_PASSWORD": "secret", "POSTGRES_USER": "postgres"}
    with open(stdin or os.devnull, "rb") as read:
        return subprocess.run(
            ["bash", str(SCRIPTS / script), *words],
            env={**server.superuser_environment, **variables},
            stdin=read,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
        )


def sql(server: Postgres, query: str) -> str:
    return server.psql("-qAtc", query, PGDATABASE=NAME).stdout.strip()


def state(server: Postgres) -> list[str]:
    """Return what is there, half-made things too, and what the database holds."""
    query = "SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles ORDER BY 1"
    return [
        *sql(server, query).splitlines(),
        sql(server, "SELECT md5(string_agg(mark::text, ' ' ORDER BY n)) FROM mark"),
    ]


@pytest.fixture(scope="module")
def dump(small: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file of what is large."""
    path = tmp_path_factory.mktemp("dump") / "a.dump"
    sql(small, "CREATE TABLE large AS SELECT repeat('x', 1900) AS text FROM generate_series(1, 100000)")
    made = subprocess.run(
        ["pg_dump", "--format=custom", "--file", path], env={**small.superuser_environment, "PGDATABASE": NAME}
    )
    assert made.returncode == 0
    sql(small, "DROP TABLE large")
    sql(small, "CHECKPOINT")
    return path


def full(server: Postgres, left: int = 5_000_000) -> Callable[[], object]:
    path = server.directory / "filler"
    free = os.statvfs(server.directory)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - left)
    return path.unlink


def nearly_full(server: Postgres) -> Callable[[], object]:
    return full(server, 350_000_000)


def without_role(server: Postgres) -> Callable[[], object]:
    quoted = sql(server, f"SELECT quote_ident($${USER}$$)")
    server.query(f"ALTER ROLE {quoted} RENAME TO away")
    return lambda: (server.query(f"ALTER ROLE away RENAME TO {quoted}"), server.initialise_application(NAME, USER))


ROOM = "MB and some room to work"
ABSENT = f'the role "{USER}" is not there'


@pytest.mark.parametrize(
    ("fault", "words", "said"),
    [
        (full, ["snapshot.sh", "take", "another"], ROOM),
        (full, ["snapshot.sh", "restore", "kept"], ROOM),
        (full, ["dump.sh", "copy", "a"], ROOM),
        (full, ["dump.sh", "load", "a"], "less than 256 MB are free on the disk of the server"),
        (nearly_full, ["dump.sh", "load", "a"], "what the file holds does not fit onto the disk of the server"),
        (without_role, ["dump.sh", "load", "a"], ABSENT),
        (without_role, ["dump.sh", "copy", "a"], ABSENT),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_and_costs_nothing(
    small: Postgres,
    dump: Path,
    fault: Callable[[Postgres], Callable[[], object]],
    words: list[str],
    said: str,
) -> None:
    before = state(small)
    mend = fault(small)
    try:
        made = run(small, *words, stdin=dump)
    finally:
        mend()
    assert made.returncode != 0, made.stdout
    assert said in made.stderr
    assert len(made.stderr.splitlines()) <= 2, made.stderr
    assert state(small) == before


def half_made(server: Postgres, name: str) -> Path:
    """Make the files of a copy that was never finished."""
    folder = server.directory / "data/base" / name
    folder.mkdir()
    (folder / "1259").write_text("half")
    shutil.chown(folder, UNPRIVILEGED)
    return folder


def test_what_a_kill_has_left_goes_with_the_next_command(small: Postgres) -> None:
    before = state(small)
    files = half_made(small, "99999")
    small.query('CREATE DATABASE "unfinished:copy"')
    small.query('CREATE ROLE "loading gone"')
    # A number that no process has.
    work = Path(tempfile.gettempdir()) / "dump.sh.work.4194999.abcdef"
    (work / "folder").mkdir(parents=True)
    # Whatever becomes of it.
    assert "the file is empty" in run(small, "dump.sh", "load", "a").stderr
    assert state(small) == before
    assert not files.exists() and not work.exists()


def test_the_files_of_a_copy_that_somebody_makes_stay(small: Postgres) -> None:
    """Nobody else sees such a database yet; whoever makes one holds this lock."""
    files = half_made(small, "99998")
    with contextlib.closing(psycopg2.connect(host=str(small.directory), port=small.port, user=SUPERUSER)) as making:
        making.cursor().execute("LOCK pg_database IN ROW EXCLUSIVE MODE")
        assert run(small, "snapshot.sh", "drop", "kept").returncode == 0
        assert files.exists()
    assert run(small, "snapshot.sh", "take", "kept").returncode == 0
    assert not files.exists()
