"""Whatever is killed while a script works on the database: what was before is whole, or what was to come is."""

import contextlib
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg2
import pytest
from servers import DB_SQL, ROOT, Postgres, wait_until

# One of each script; BERTH_KILLS=50 is the long proof, and BERTH_SEED repeats one.
ROUNDS = int(os.environ.get("BERTH_KILLS", "7"))
SEED = os.environ.get("BERTH_SEED") or str(random.randrange(10**6))
NAME, USER = "Ünï \"q\" 'd' $b \\ :x %I=1", "ro-le \\ $U @:x 'q' \"r\""
ROWS = 50_000
LOAD = 'bash "$0/dump.sh" load token <"$1" && bash "$0/dump.sh" finish token was'


class Work(NamedTuple):
    """:param line: what is run by bash; `$0` is the folder of the scripts, `$1` the dump."""

    line: str
    brings_back: bool = False
    empties: bool = False


WORKS = {
    "dump": Work('bash "$0/dump.sh" dump token >"$1.other"'),
    "snapshot": Work('bash "$0/snapshot.sh" take late'),
    "restore": Work('bash "$0/snapshot.sh" restore kept was', brings_back=True),
    "move": Work('bash "$0/snapshot.sh" move kept was', brings_back=True),
    "load": Work(LOAD, brings_back=True),
    "reset": Work('bash "$0/reset-db.sh"', empties=True),
    "set-password": Work('bash "$0/set-password.sh"'),
}


class Stand:
    """A server, its database, the snapshot `kept`, and a dump of the same."""

    def __init__(self, server: Postgres, folder: Path) -> None:
        self.server, self.dump = server, folder / "kept.dump"
        self.password = "pä ss'\"\\$HOME $$ `id` #:/@%41 0"
        server.initialise_application(NAME, USER, self.password)
        self.sql(f"CREATE TABLE mark AS SELECT n, md5(n::text) AS text FROM generate_series(1, {ROWS}) AS n")
        self.run('bash "$0/snapshot.sh" take kept')
        self.run('bash "$0/dump.sh" dump token >"$1"')
        self.kept = self.content()
        self.seconds = dict.fromkeys(WORKS, 1.0)

    def start(self, line: str) -> subprocess.Popen[str]:
        variables = {"DB_NAME": NAME, "DB_USER": USER, "DB_PASSWORD": self.password, "INIT_SQL": str(DB_SQL)}
        environment = {**self.server.superuser_environment, **variables, "POSTGRES_USER": "postgres"}
        words = ["bash", "-c", line, str(ROOT / "docker/db"), str(self.dump)]
        return subprocess.Popen(
            words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )

    def run(self, line: str) -> None:
        process = self.start(line)
        said, _ = process.communicate(timeout=90)
        assert process.returncode == 0, f"{line}: {said}"

    def sql(self, query: str, database: str = NAME) -> list[str]:
        address = {"host": str(self.server.directory), "port": self.server.port, "user": "postgres"}
        with contextlib.closing(psycopg2.connect(dbname=database, **address)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query)
                return [str(row[0]) for row in cursor.fetchall()] if cursor.description else []

    def content(self, database: str = NAME) -> str:
        if self.sql("SELECT to_regclass('mark') IS NULL", database) == ["True"]:
            return "empty"
        return self.sql("SELECT md5(string_agg(mark::text, ' ' ORDER BY n)) FROM mark", database)[0]

    def snapshots(self) -> list[str]:
        return self.sql("SELECT substr(datname, 10) FROM pg_database WHERE datname LIKE 'snapshot:%'", "postgres")

    def lets_in(self, password: str) -> bool:
        try:
            psycopg2.connect(host="127.0.0.1", port=self.server.port, dbname=NAME, user=USER, password=password).close()
        except psycopg2.OperationalError:
            return False
        return True

    def left(self) -> list[str]:
        """Return what is half-made: databases and their files, roles, and folders of scripts that are gone."""
        query = """
            SELECT 'database ' || datname FROM pg_database WHERE datname LIKE 'unfinished:%' OR datconnlimit = -2
            UNION ALL SELECT 'role ' || rolname FROM pg_roles WHERE rolname LIKE 'loading %'
            UNION ALL SELECT 'files ' || name FROM pg_ls_dir('base') AS name
            WHERE name ~ '^[0-9]+$' AND name::oid NOT IN (SELECT oid FROM pg_database)
        """
        folders = Path(tempfile.gettempdir()).glob("dump.sh.work.*")
        gone = [str(path) for path in folders if not psutil.pid_exists(int(path.name.split(".")[3]))]
        return self.sql(query, "postgres") + gone

    def postmaster(self) -> psutil.Process:
        return psutil.Process(int((self.server.directory / "data/postmaster.pid").read_text().split()[0]))

    def recover(self) -> None:
        """Be the engine, which starts what was killed."""
        wait_until(self.answers, "the server answers", limit=60)

    def answers(self) -> bool:
        try:
            return self.sql("SELECT 1", "postgres") == ["1"]
        except psycopg2.OperationalError:
            with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, IndexError):
                self.postmaster()
                return False
            with contextlib.suppress(subprocess.CalledProcessError):
                self.server.start()
            return False


def those(processes: list[psutil.Process], wanted: Callable[[psutil.Process], bool]) -> Iterator[psutil.Process]:
    """Yield which are wanted of those that have not ended in the meantime."""
    for one in processes:
        with contextlib.suppress(psutil.Error):
            if wanted(one):
                yield one


def kill_task(stand: Stand, task: list[psutil.Process]) -> list[psutil.Process]:
    """What it has started goes on."""
    return task[:1]


def kill_clients(stand: Stand, task: list[psutil.Process]) -> list[psutil.Process]:
    return list(those(task, lambda one: one.name() in {"psql", "pg_dump", "pg_restore"}))


def kill_all(stand: Stand, task: list[psutil.Process]) -> list[psutil.Process]:
    return task


def kill_backend(stand: Stand, task: list[psutil.Process]) -> list[psutil.Process]:
    """Those of the server's processes that work for somebody."""
    return list(those(stand.postmaster().children(), lambda one: "[local]" in " ".join(one.cmdline())))


def kill_server(stand: Stand, task: list[psutil.Process]) -> list[psutil.Process]:
    server = stand.postmaster()
    return [server, *server.children()]


VICTIMS: list[Callable[[Stand, list[psutil.Process]], list[psutil.Process]]] = [
    kill_task,
    kill_clients,
    kill_all,
    kill_backend,
    kill_server,
]


def interrupt(
    stand: Stand, line: str, pause: float, victim: Callable[[Stand, list[psutil.Process]], list[psutil.Process]]
) -> tuple[bool, float]:
    """Return whether it had ended before, and how long it took then."""
    started = time.monotonic()
    process = stand.start(line)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=pause)
    if ended := process.poll() is not None:
        return ended, time.monotonic() - started
    root = psutil.Process(process.pid)
    task = [root, *root.children(recursive=True)]
    servers = stand.postmaster().children()
    for one in victim(stand, task):
        with contextlib.suppress(psutil.Error):
            one.kill()
    if victim in {kill_backend, kill_server}:
        # The server notices a moment later that one of its processes is gone, and ends the others; until then it
        # answers. It never does where the one had ended before.
        psutil.wait_procs(servers, timeout=3)
    # A script that waits for the server finds the next one.
    stand.recover()
    process.communicate(timeout=90)
    # What was not killed ends by itself.
    psutil.wait_procs(task[1:], timeout=60)
    stand.recover()
    return False, 0.0


def one_round(stand: Stand, number: int, chance: random.Random) -> str:
    name = list(WORKS)[number % len(WORKS)]
    work, victim = WORKS[name], chance.choice(VICTIMS)
    stand.sql(f"UPDATE mark SET text = 'round {number}' WHERE n % 7 = {number % 7}")
    before, old = stand.content(), stand.password
    if name == "set-password":
        stand.password = f"{old[:-2]} {number}"
    pause = chance.uniform(0.02, stand.seconds[name])
    said = f"round {number} of seed {SEED}: {name}, {victim.__name__} after {pause:.2f} s"
    ended, seconds = interrupt(stand, work.line, pause, victim)
    if ended:
        said += ", which had ended"
        stand.seconds[name] = seconds
    after = stand.content()
    assert after in {before, *[stand.kept] * work.brings_back, *["empty"] * work.empties}, said
    assert stand.lets_in(old) or stand.lets_in(stand.password), said
    # The next command clears away what is left, and the same one works now.
    stand.run('bash "$0/set-password.sh"')
    assert stand.lets_in(stand.password), said
    stand.run('bash "$0/snapshot.sh" take next')
    hashes = {one: stand.content(f"snapshot:{one}") for one in stand.snapshots()}
    assert set(hashes.values()) <= {before, stand.kept, after}, said
    assert hashes.get("kept", after) == stand.kept, said
    stand.run('bash "$0/dump.sh" load again <"$1" && bash "$0/dump.sh" finish again')
    assert (stand.content(), stand.left()) == (stand.kept, []), said
    if "kept" not in hashes:
        stand.run('bash "$0/snapshot.sh" take kept')
    others = " ".join(one for one in hashes if one != "kept")
    stand.run(f'bash "$0/snapshot.sh" drop {others}')
    return said


@pytest.fixture(scope="module")
def stand(start_postgres: Callable[..., Postgres], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    made = Stand(start_postgres(), tmp_path_factory.mktemp("kills"))
    yield made
    made.recover()


def test_rounds_of_kills_leave_the_old_state_or_the_new_one(stand: Stand) -> None:
    chance = random.Random(SEED)
    for number in range(ROUNDS):
        started = time.monotonic()
        said = one_round(stand, number, chance)
        print(f"{said}; {time.monotonic() - started:.0f} s in all", flush=True)
