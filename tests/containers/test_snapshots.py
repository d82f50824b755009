"""Snapshots of a database with odd names, while the application and the worker are connected to it."""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections.abc import Iterator

import pexpect
import pytest
from containers.checkout import Checkout, checkout, docker, ok, within

pytestmark = pytest.mark.containers

ODD = {
    # 63 bytes, which is what PostgreSQL takes.
    "DB_NAME": "Ünï \"quoted\" 'data' $base \\ :x %I=1 ".ljust(61, "x"),
    "DB_USER": "ro-le \\ $USER @100%:x 'q' \"r\"",
    "DB_PASSWORD": "pä ss'\"\\$HOME ${DB_USER} $$ `id` #x :/@%41",
}
ODD_NAME = "we'ird \"$n\\ ä %I :name --"
ROWS = 100_000
NAMED_BY_BERTH = r"\d{8}-\d{6}[\w.-]*"


@pytest.fixture(scope="module")
def odd(engine: None) -> Iterator[Checkout]:
    """A running checkout whose database holds rows that can be counted and hashed."""
    assert len(ODD["DB_NAME"].encode()) == 63
    with checkout() as made:
        made.prepare()
        made.set(**ODD, DB_SNAPSHOTS_KEPT="3")
        ok(made.inv("up"))
        made.sql(f"CREATE TABLE mark AS SELECT n, md5(n::text) FROM generate_series(1, {ROWS}) AS n; ANALYZE")
        yield made


@pytest.fixture
def kept(odd: Checkout) -> Iterator[str]:
    """The name of a snapshot of the database as it is now; all are dropped afterwards."""
    ok(odd.inv("db.snapshot", ODD_NAME))
    yield ODD_NAME
    ok(odd.inv("db.drop-snapshot", "--yes", *names(odd)))


def names(stack: Checkout) -> list[str]:
    query = "SELECT substr(datname, 10) FROM pg_database WHERE datname LIKE 'snapshot:%' ORDER BY datname"
    return stack.sql(query, database="postgres").splitlines()


def unfinished(stack: Checkout) -> str:
    return stack.sql("SELECT string_agg(datname, ' ') FROM pg_database WHERE datname LIKE 'unf%'", database="postgres")


def content(stack: Checkout, database: str | None = None) -> str:
    return stack.sql("SELECT md5(string_agg(mark::text, ' ' ORDER BY n)) FROM mark", database=database)


def spoil(stack: Checkout) -> None:
    stack.sql("UPDATE mark SET md5 = '' WHERE n % 7 = 0")


def test_a_snapshot_brings_back_what_was_and_keeps_what_is(odd: Checkout, kept: str) -> None:
    before = content(odd)
    spoil(odd)
    spoilt = content(odd)
    made = ok(odd.inv("db.restore", kept))
    assert content(odd) == before != spoilt
    found = re.search(rf"^to get it back: \./inv db\.restore ({NAMED_BY_BERTH})$", made.stdout, re.M)
    assert found, made.stdout
    ok(odd.inv("db.restore", found[1]))
    assert content(odd) == spoilt
    ok(odd.inv("db.restore", kept))
    assert content(odd) == before


def test_a_snapshot_that_is_moved_is_the_database_and_no_snapshot_any_more(odd: Checkout, kept: str) -> None:
    before = content(odd)
    spoil(odd)
    spoilt = content(odd)
    made = ok(odd.inv("db.restore", kept, "--move"))
    assert content(odd) == before
    (other,) = names(odd)
    assert other != kept and f"to get it back: ./inv db.restore {other}\n" in made.stdout
    odd.wait_until_ready(10)
    ok(odd.inv("db.restore", other, "--move"))
    assert content(odd) == spoilt
    (other,) = names(odd)
    ok(odd.inv("db.restore", other, "--no-snapshot", "--yes"))
    assert content(odd) == before


def test_application_and_worker_go_on_by_themselves(odd: Checkout, kept: str) -> None:
    containers = [odd.container(service) for service in ("app", "worker-default")]
    ok(odd.inv("db.restore", kept))
    odd.wait_until_ready(10)
    assert [odd.container(service) for service in ("app", "worker-default")] == containers
    restarts = docker("inspect", "--format", "{{.RestartCount}}", *containers).stdout.split()
    assert restarts == ["0", "0"]


def test_owner_rights_and_settings_of_the_database_stay(odd: Checkout, kept: str) -> None:
    query = (
        "SELECT format('ALTER DATABASE %1$I SET timezone TO %2$L; ALTER ROLE CURRENT_USER IN DATABASE %1$I SET "
        "search_path TO \"$user\", public; GRANT CONNECT ON DATABASE %1$I TO pg_monitor', current_database(), 'Asia/Tokyo')"
    )
    odd.sql(odd.sql(query))
    look = (
        "SELECT pg_get_userbyid(datdba), (SELECT string_agg(item::text, ' ' ORDER BY item::text) FROM unnest(datacl) AS "
        "item), datconnlimit, (SELECT string_agg(setconfig::text, ' ' ORDER BY setrole) FROM pg_db_role_setting WHERE "
        "setdatabase = oid) FROM pg_database WHERE datname = current_database()"
    )
    before = odd.sql(look)
    assert before.startswith(f"{ODD['DB_USER']}|") and "Asia/Tokyo" in before and "pg_monitor" in before
    ok(odd.inv("db.restore", kept))
    assert odd.sql(look) == before


def test_busy_clients_wait_for_a_snapshot_and_none_is_refused(odd: Checkout) -> None:
    script = (
        "export PGHOST=127.0.0.1 PGUSER=$DB_USER PGPASSWORD=$DB_PASSWORD PGDATABASE=$DB_NAME; echo ready; "
        "while [ ! -e /tmp/enough ]; do psql -qAtc 'SELECT 1' >/dev/null 2>>/tmp/refused; done"
    )
    line = ["docker", "compose", "exec", "-T", "db", "bash", "-c", f"for i in 1 2 3 4; do ({script}) & done; wait"]
    clients = subprocess.Popen(line, cwd=odd.root, env=odd.environment, stdout=subprocess.PIPE, text=True)
    assert clients.stdout
    try:
        assert clients.stdout.readline() == "ready\n"
        ok(odd.inv("db.snapshot", "busy"))
    finally:
        ok(odd.compose("exec", "-T", "db", "touch", "/tmp/enough"))
        clients.wait(30)
        clients.stdout.close()
    said = ok(odd.compose("exec", "-T", "db", "cat", "/tmp/refused")).stdout
    ok(odd.inv("db.drop-snapshot", "--yes", "busy"))
    # Sessions end, but whoever comes then waits for its turn.
    assert "being accessed by other users" not in said
    assert "FATAL" not in said.replace("FATAL:  terminating connection due to administrator command", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["db.check-migrations"], "No changes detected"),
        (["db.try-migrations"], "nothing to try"),
        (["db.try-migrations", ODD_NAME], "nothing to try"),
        (["db.diff", ODD_NAME, ODD_NAME], "no difference"),
        (["db.snapshots"], ODD_NAME),
        (["db.dumps"], "dump"),
        (["db.ps"], "last query"),
    ],
)
def test_names_of_every_kind_pass_through_what_only_looks(
    odd: Checkout, kept: str, words: list[str], said: str
) -> None:
    assert said in ok(odd.inv(*words)).stdout
    assert unfinished(odd) == ""


def test_those_that_berth_named_are_pruned_and_others_stay(odd: Checkout, kept: str) -> None:
    for _ in range(4):
        ok(odd.inv("db.snapshot"))
    assert len(names(odd)) == 3 + 1
    assert kept in names(odd)
    shown = ok(odd.inv("db.snapshots")).stdout.splitlines()
    assert len(shown) == 1 + 3 + 1
    assert shown[1].startswith(kept)
    assert shown[1].endswith("_initial")


def test_nothing_is_deleted_unless_somebody_says_so(odd: Checkout, kept: str) -> None:
    for words in (["db.drop-snapshot", kept], ["db.restore", kept, "--no-snapshot"]):
        made = odd.inv(*words)
        assert made.returncode == 1
        assert made.stderr.startswith(f"`{words[0]}` deletes data and nobody is there to ask: type `./inv {words[0]} ")
        child = odd.spawn(odd.task(*words))
        child.expect(r"\d MB, \d+ tables, about \d+ rows, last migration \S+\? \[y/N\] ")
        child.sendline("")
        child.expect_exact("nothing was deleted")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 1
    assert names(odd) == [kept]


def test_reset_db_says_how_to_get_back(odd: Checkout) -> None:
    before = content(odd)
    made = ok(odd.inv("reset-db", "--yes"))
    assert odd.sql("SELECT to_regclass('mark') IS NULL") == "t"
    found = re.search(rf"^to get it back: \./inv db\.restore ({NAMED_BY_BERTH})$", made.stdout, re.M)
    assert found, made.stdout
    ok(odd.inv("db.restore", found[1], "--no-snapshot", "--yes"))
    assert content(odd) == before
    ok(odd.inv("db.drop-snapshot", "--yes", *names(odd)))


def test_the_shell_is_the_role_of_the_application_unless_asked_otherwise(odd: Checkout) -> None:
    query = "SELECT current_user, current_database()"
    assert ok(odd.inv("db.shell", "-Atc", query)).stdout.strip() == f"{ODD['DB_USER']}|{ODD['DB_NAME']}"
    assert ok(odd.inv("db.shell", "--superuser", "-Atc", query)).stdout.strip() == f"postgres|{ODD['DB_NAME']}"


def test_the_url_leads_into_the_database(odd: Checkout) -> None:
    hidden, shown = (ok(odd.inv("db.url", *words)).stdout.strip() for words in ([], ["--reveal"]))
    address = f"@127.0.0.1:{odd.port('DB')}/"
    assert address in hidden and ":***@" in hidden and address in shown
    inside = shown.replace(address, "@127.0.0.1:5432/")
    made = ok(odd.compose("exec", "-T", "db", "psql", inside, "-Atc", "SELECT current_user, current_database()"))
    assert made.stdout.strip() == f"{ODD['DB_USER']}|{ODD['DB_NAME']}"


def test_who_waits_for_whom_is_shown_and_can_be_ended(odd: Checkout) -> None:
    line = [*odd.task("db.shell"), "-c", "BEGIN; LOCK django_migrations; SELECT pg_sleep(60)"]
    child = subprocess.Popen(line, cwd=odd.root, env=odd.environment, stderr=subprocess.PIPE, text=True)
    row = r"^ *(\d+) \|.*LOCK django_migrations"
    within(20, lambda: re.search(row, odd.inv("db.ps").stdout, re.M), "the session is shown")
    shown = ok(odd.inv("db.ps")).stdout
    found = re.search(row, shown, re.M)
    assert found and re.search(rf"^ *{found[1]} \| django_migrations \| AccessExclusiveLock \| held", shown, re.M)
    ok(odd.inv("db.kill", found[1]))
    _, errors = child.communicate(timeout=30)
    assert child.returncode != 0 and "terminating connection due to administrator command" in errors
    again = odd.inv("db.kill", found[1])
    assert again.returncode == 1
    assert f"no session of the database `{ODD['DB_NAME']}` has the pid {found[1]}\n" in again.stderr


def test_stats_names_the_largest_table_and_what_is_never_used(odd: Checkout) -> None:
    odd.sql("CREATE INDEX idle ON mark (md5)")
    try:
        shown = ok(odd.inv("db.stats")).stdout
    finally:
        odd.sql("DROP INDEX idle")
    assert re.search(r"largest tables.*\n-.*\n mark ", shown)
    assert re.search(r"^ idle +\| mark +\| \d", shown, re.M)
    assert "pg_stat_statements is not on" in shown


def test_diff_shows_what_has_changed_since_a_snapshot(odd: Checkout, kept: str) -> None:
    assert "no difference" in ok(odd.inv("db.diff", kept)).stdout
    odd.sql("DELETE FROM mark WHERE n <= 10; CREATE TABLE added ()")
    shown = ok(odd.inv("db.diff", kept)).stdout
    assert re.search(rf"^public\.mark +{ROWS} rows +{ROWS - 10} rows$", shown, re.M)
    assert re.search(r"^public\.added +- +0 rows$", shown, re.M)
    ok(odd.inv("db.restore", kept, "--no-snapshot", "--yes"))


def test_another_password_is_set_and_the_data_stays(odd: Checkout) -> None:
    before = content(odd)
    for password in ("another '$ \\ pässword", ODD["DB_PASSWORD"]):
        odd.set(DB_PASSWORD=password, POSTGRES_PASSWORD=f"new {password}")
        made = ok(odd.inv("db.set-password"))
        assert password not in made.stdout + made.stderr
        assert odd.get("/status/ready/").status == 200
        assert content(odd) == before


def test_a_reset_is_of_the_database_that_env_names_now(odd: Checkout) -> None:
    """While the services still run with the name of before."""
    before = content(odd)
    odd.set(DB_NAME="another one")
    try:
        made = ok(odd.inv("reset-db", "--yes"))
        assert "no snapshot of the database `another one`: it is not there, or cannot be read" in made.stdout
        assert odd.get("/status/ready/").status == 200
        assert content(odd, ODD["DB_NAME"]) == before
        assert odd.sql("SELECT to_regclass('django_migrations') IS NOT NULL", "another one") == "t"
    finally:
        odd.set(DB_NAME=ODD["DB_NAME"])
        ok(odd.inv("up"))


# All pairs, at other moments, and of more tasks: tests/docker/test_kills.py.
@pytest.mark.parametrize(
    ("victim", "task"),
    [("client", "db.snapshot"), ("script", "db.restore"), ("backend", "db.snapshot"), ("server", "db.restore")],
)
def test_an_interruption_leaves_the_old_state_or_the_new_one(odd: Checkout, kept: str, victim: str, task: str) -> None:
    before = content(odd)
    spoil(odd)
    spoilt = content(odd)
    words = ["db.snapshot", "late"] if task == "db.snapshot" else ["db.restore", kept]
    child = subprocess.Popen(odd.task(*words), cwd=odd.root, env=odd.environment, stderr=subprocess.PIPE, text=True)
    assert child.stderr and "snapshot.sh" in child.stderr.readline()
    time.sleep(random.uniform(0, 1))
    kill(odd, child, victim)
    child.wait(60)
    child.stderr.close()
    ok(odd.inv("up"))
    # The next command waits for one that still runs, and clears what is left.
    ok(odd.inv("db.snapshot", "next"))
    assert unfinished(odd) == ""
    assert content(odd) in ({spoilt} if task == "db.snapshot" else {before, spoilt})
    hashes = {name: content(odd, f"snapshot:{name}") for name in names(odd)}
    assert hashes[kept] == before
    assert set(hashes.values()) <= {before, spoilt}
    ok(odd.inv("db.restore", kept))
    within(30, lambda: odd.get("/status/ready/").status == 200, "the application works")
    assert content(odd) == before


def kill(stack: Checkout, child: subprocess.Popen[str], victim: str) -> None:
    """Send SIGKILL to the task, to its script in the container, to the server's process at work, or to all of it."""
    if victim == "client":
        child.kill()
    elif victim == "script":
        stack.compose("exec", "-T", "db", "bash", "-c", "kill -9 $(pgrep -f 'bash.*snapshot.sh') $(pgrep psql)")
    elif victim == "backend":
        stack.compose("exec", "-T", "db", "bash", "-c", "kill -9 $(pgrep -f 'postgres: .*(CREATE|ALTER|DO|idle)')")
    else:
        docker("kill", "--signal", "KILL", stack.container("db"), check=False)
        within(30, lambda: docker("start", stack.container("db"), check=False).returncode == 0, "it starts again")
