import subprocess
import sys
import time
import uuid

import psycopg2
import pytest
from django.db import connection

from conftest import HERE
from status.management.commands.migrate import LOCK

WAITING = "Another `migrate` is at work on this database: waiting for it to end.\n"


@pytest.fixture
def empty_database(db, environment):
    """An empty database named in the environment, by what must not be pasted into code or a URL."""
    name = f"test '$@:%/\\ é {uuid.uuid4().hex}"
    parameters = {**connection.get_connection_params(), "dbname": environment["DB_NAME"]}
    server = psycopg2.connect(**parameters)
    server.autocommit = True
    with server.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
        environment["DB_NAME"] = name
        yield {**parameters, "dbname": name}
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    server.close()


@pytest.fixture
def migrate(environment):
    processes = []

    def start(*options):
        command = [sys.executable, "manage.py", "migrate", *options]
        process = subprocess.Popen(
            command, cwd=HERE, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_replicas_that_start_together_migrate_once(empty_database, migrate):
    processes = [migrate() for _ in range(5)]
    results = [(process.communicate(timeout=60), process.returncode) for process in processes]

    assert [(errors, code) for (_, errors), code in results] == [("", 0)] * 5
    outputs = [output for (output, _), _ in results]
    assert sum("Applying users.0001_initial... OK" in output for output in outputs) == 1
    assert sum("No migrations to apply." in output for output in outputs) == 4


def test_migrate_waits_for_the_lock_and_says_so(empty_database, migrate):
    other = psycopg2.connect(**empty_database)
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    process = migrate("--verbosity=1")
    assert process.stdout.readline() == WAITING
    time.sleep(0.5)
    assert process.poll() is None

    # As when the process that holds it is killed.
    other.close()
    output, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (0, "")
    assert "Applying users.0001_initial... OK" in output


def test_waiting_for_the_lock_does_not_hold_up_an_index_built_concurrently(empty_database, migrate):
    """A statement that waited in the server would keep a snapshot open: each would wait for the other."""
    holder = psycopg2.connect(**empty_database)
    holder.autocommit = True
    with holder.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id int)")
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        process = migrate()
        assert process.stdout.readline() == WAITING
        cursor.execute("SET statement_timeout = '5s'")
        cursor.execute("CREATE INDEX CONCURRENTLY i ON t (id)")
    holder.close()
    process.communicate(timeout=30)

    assert process.returncode == 0


def test_lock_goes_when_a_migration_fails(empty_database, migrate):
    other = psycopg2.connect(**empty_database)
    with other, other.cursor() as cursor:
        # In the way of a table that the migrations create.
        cursor.execute("CREATE TABLE users_customuser (id int)")
    process = migrate()
    _, errors = process.communicate(timeout=30)

    assert process.returncode != 0
    assert 'relation "users_customuser" already exists' in errors
    with other, other.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        assert cursor.fetchone() == (True,)
    other.close()


def test_nothing_to_migrate_is_quick(migrate, transactional_db):
    start = time.monotonic()
    process = migrate()
    output, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (0, "")
    assert output.endswith("  No migrations to apply.\n")
    # One second on a machine that does nothing else; far less than anything that waits.
    assert time.monotonic() - start < 15
