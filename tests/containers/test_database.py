"""The database of the stack: `reset-db`, and names and passwords of every kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from containers.checkout import Checkout, checkout, ok, state
from containers.conftest import Stack
from containers.test_snapshots import unfinished

pytestmark = pytest.mark.containers

ODD = {
    "DB_NAME": "Ünï \"quoted\" 'data' $base=1",
    "DB_USER": "ro-le \\ $USER @100%:x",
    "DB_PASSWORD": "pä ss'\"\\$HOME ${DB_USER} $$ `id` #x :/@%41",
}


@pytest.fixture
def marked(stack: Stack) -> Iterator[None]:
    """Put a row into the application's database that a reset deletes."""
    stack.sql("CREATE TABLE mark (); ALTER TABLE mark OWNER TO app")
    yield
    stack.sql("DROP TABLE IF EXISTS mark")


def has_mark(stack: Stack) -> bool:
    return stack.sql("SELECT to_regclass('mark') IS NOT NULL") == "t"


def test_reset_db_refuses_when_nobody_is_there_to_ask(stack: Stack, marked: None) -> None:
    made = stack.inv("reset-db")
    assert made.returncode == 1
    assert made.stderr == "`reset-db` deletes data and nobody is there to ask: type `./inv reset-db --yes`\n"
    assert has_mark(stack)


def test_reset_db_keeps_everything_unless_the_answer_is_yes(stack: Stack, marked: None) -> None:
    for answer in ("n", ""):
        child = stack.spawn(stack.task("reset-db"))
        child.expect_exact(f"Delete the database `app` of the project {stack.name}: ")
        child.expect(r"\d+\.\d MB, \d+ tables, about \d+ rows, last migration \w+\.\d{4}_\w+\? \[y/N\] ")
        child.sendline(answer)
        child.expect_exact("nothing was deleted")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 1
    assert has_mark(stack)


def test_reset_db_leaves_an_empty_migrated_database_and_the_other_databases(stack: Stack, marked: None) -> None:
    stack.sql("CREATE DATABASE neighbour")
    stack.sql("CREATE TABLE kept AS SELECT 42 AS answer", database="neighbour")
    stack.sql(
        "INSERT INTO users_customuser (username, password, email, first_name, last_name, is_superuser, is_staff, "
        "is_active, date_joined) VALUES ('gone', '', '', '', '', false, false, true, now())"
    )
    try:
        ok(stack.inv("reset-db", "--yes"))
        assert not has_mark(stack)
        assert stack.sql("SELECT count(*) FROM users_customuser") == "0"
        answer = stack.get("/status/ready/")
        assert answer.status == 200
        assert json.loads(answer.body)["checks"]["migrations"] == {"ok": True}
        assert stack.sql("SELECT answer FROM kept", database="neighbour") == "42"
    finally:
        stack.sql("DROP DATABASE IF EXISTS neighbour")


MIGRATION = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("status", "0001_initial")]
    operations = [
        migrations.CreateModel("Probe", [("id", models.BigAutoField(primary_key=True))]),
        migrations.RunSQL("CREATE TABLE stays ()", "SELECT 1"),
    ]
"""


NETWORK = """
services:
  dump: {networks: [stack]}
networks:
  stack: {name: %s_default, external: true}
"""


def test_a_backup_and_its_rehearsal_need_plain_compose_only(stack: Stack, marked: None, tmp_path: Path) -> None:
    """Here the database is in the network of the stack."""
    (tmp_path / "network.yml").write_text(NETWORK % stack.name)
    files = ["--file", "docker/docker-compose.backup.yml", "--file", str(tmp_path / "network.yml")]
    line = ["docker", "compose", "--env-file", ".env", "--project-name", f"{stack.name}-backup", *files]
    variables = {"APP_IMAGE": f"{stack.name}-app:dev", "DB_HOST": "db", "BACKUP_URL": "/backups"}
    try:
        made = ok(stack.run([*line, "run", "--rm", "backup"], variables=variables))
        assert re.search(r"^\d{8}-\d{6}\.dump is stored: \d{4,} bytes$", made.stdout, re.M), made.stdout
        made = ok(stack.run([*line, "run", "--rm", "rehearsal"], variables=variables))
        assert re.search(r"and holds what it is to: \d\d tables and migrations$", made.stdout, re.M), made.stdout
        assert unfinished(stack) == ""
    finally:
        ok(stack.run([*line, "down", "--volumes"], variables=variables))


def test_migrations_are_checked_and_tried_on_a_copy_of_the_data(stack: Stack) -> None:
    assert "No changes detected" in ok(stack.inv("db.check-migrations")).stdout
    path = stack.root / "app/status/migrations/0002_probe.py"
    ok(stack.inv("db.snapshot", "before them"))
    try:
        path.write_text(MIGRATION)
        checked = stack.inv("db.check-migrations")
        assert checked.returncode == 1 and "- Delete model Probe" in checked.stdout
        tried = stack.inv("db.try-migrations", "before them")
        assert tried.returncode == 1 and "not as before:\n  stays: left" in tried.stdout
        path.write_text(MIGRATION.replace("CREATE TABLE stays ()", "SELECT 1"))
        assert "forward again: in " in ok(stack.inv("db.try-migrations", "before them")).stdout
    finally:
        path.unlink()
        ok(stack.inv("db.drop-snapshot", "before them", "--yes"))
    assert stack.sql("SELECT to_regclass('status_probe') IS NULL") == "t"
    assert stack.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'unfinished:%'") == "0"


@pytest.fixture(scope="module")
def odd(engine: None) -> Iterator[Checkout]:
    """A checkout whose database has odd names and an odd password."""
    with checkout() as made:
        made.prepare()
        made.set(**ODD, WORKER_REPLICAS="0")
        yield made


def test_odd_names_and_an_odd_password_reach_the_database_through_env(odd: Checkout) -> None:
    ok(odd.inv("up"))
    answer = odd.get("/status/ready/")
    assert answer.status == 200, answer.body
    script = (
        "import json, os; from django.db import connection as c; cursor = c.cursor(); "
        "cursor.execute('SELECT current_database(), current_user'); "
        "print(json.dumps([*cursor.fetchone(), os.environ['DB_PASSWORD']]))"
    )
    made = ok(odd.inv("manage", "shell", "--verbosity=0", "-c", script))
    assert json.loads(made.stdout) == [ODD["DB_NAME"], ODD["DB_USER"], ODD["DB_PASSWORD"]]


def test_reset_db_deletes_after_a_yes_whatever_the_names(odd: Checkout) -> None:
    odd.sql("CREATE TABLE mark ()")
    child = odd.spawn(odd.task("reset-db"), timeout=120)
    child.expect_exact("[y/N] ")
    child.sendline("y")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert odd.sql("SELECT to_regclass('mark') IS NULL") == "t"
    assert odd.get("/status/ready/").status == 200


def test_a_wrong_password_is_told_by_up(odd: Checkout) -> None:
    odd.set(DB_PASSWORD="not that one")
    made = odd.inv("up")
    assert made.returncode != 0
    assert "migrate failed: it exited with code 77\n" in made.stderr
    assert (
        f"the server on host `db`, port 5432 refuses the password of role `{ODD['DB_USER']}`, or has no such role, it "
        "does not tell which: compare DB_USER and DB_PASSWORD with those the database was created with"
    ) in made.stderr
    assert "not that one" not in made.stderr + made.stdout
    assert state(odd.container("db"))["Running"] is True
    odd.set(DB_PASSWORD=ODD["DB_PASSWORD"])
    ok(odd.inv("up"))
