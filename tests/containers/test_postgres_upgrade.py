"""Another major version of PostgreSQL, and the way back, for a database with odd names."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator

import pytest
from containers.checkout import Checkout, checkout, docker, ok, state
from containers.test_snapshots import ODD, content

from berth.base_images import builder

pytestmark = pytest.mark.containers

OLD, NEW = "local/postgres:17", "local/postgres:18"
MARK = "CREATE TABLE mark AS SELECT n, md5(n::text) FROM generate_series(1, 20000) AS n"


@pytest.fixture(scope="module")
def old(engine: None) -> Iterator[Checkout]:
    """A checkout that ran on PostgreSQL 17, whose `.env` names 18 by now."""
    if docker("image", "inspect", OLD, check=False).returncode:
        subprocess.run(builder.build_line("postgres:17"), check=True)
    with checkout() as made:
        made.prepare()
        made.set(**ODD, POSTGRES_IMAGE=OLD, DB_WAIT_TIMEOUT="300", WORKER_REPLICAS="0")
        ok(made.inv("up", "db"))
        made.sql(MARK)
        made.set(POSTGRES_IMAGE=NEW)
        yield made


def major(stack: Checkout) -> int:
    return int(stack.sql("SHOW server_version_num")) // 10000


def volumes(stack: Checkout) -> set[str]:
    listed = docker("volume", "ls", "--format", "{{.Name}}", "--filter", f"name={stack.name}_postgres").stdout.split()
    return {name.removeprefix(f"{stack.name}_") for name in listed}


def test_up_says_what_is_wrong_and_nothing_restarts_for_ever(old: Checkout) -> None:
    made = old.inv("up", "db")
    assert made.returncode != 0
    said = "the data was made by PostgreSQL 17, and this server is 18: type `./inv db.upgrade`, which keeps it"
    assert said in made.stderr
    assert state(old.container("db"))["Status"] == "exited"


def test_an_upgrade_that_is_killed_leaves_the_data_and_can_be_repeated(old: Checkout) -> None:
    before = (old.root / ".env").read_text()
    child = subprocess.Popen(
        old.task("db.upgrade"), cwd=old.root, env=old.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(random.uniform(1, 8))
    child.kill()
    child.wait()
    assert (old.root / ".env").read_text() == before
    assert "postgres_data" in volumes(old)


def test_the_data_moves_and_the_old_volume_stays(old: Checkout) -> None:
    made = ok(old.inv("db.upgrade"))
    assert "to get it back as it was: ./inv db.upgrade --rollback" in made.stdout
    assert major(old) == 18
    assert content(old) == expected(old)
    assert {"postgres_data", old.value("POSTGRES_VOLUME")} <= volumes(old)
    old.wait_until_ready()
    again = old.inv("db.upgrade")
    assert again.returncode == 1 and f"the data is of PostgreSQL 18, as {NEW} is" in again.stderr


def test_the_way_back_keeps_what_was_written_since(old: Checkout) -> None:
    old.sql("INSERT INTO mark VALUES (0, 'since')")
    ok(old.inv("db.upgrade", "--rollback"))
    assert major(old) == 17
    assert content(old) == expected(old)
    old.wait_until_ready()
    newest = ok(old.inv("db.dumps")).stdout.splitlines()[-1]
    assert newest.split()[-1] == str(20001 + others(old))


def expected(stack: Checkout) -> str:
    """Return what `content` is of what was written at first."""
    query = "SELECT md5(string_agg(mark::text, ' ' ORDER BY n)) FROM (SELECT n, md5(n::text) FROM generate_series(1, 20000) AS n) AS mark"
    return stack.sql(query)


def others(stack: Checkout) -> int:
    """Return the number of rows of all tables but that."""
    query = (
        "SELECT sum((xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %I', tablename), false, true, "
        "'')))[1]::text::int) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'mark'"
    )
    return int(stack.sql(query))
