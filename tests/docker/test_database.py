"""db.sql, reset-db.sh and check-db.sh on real servers, from PostgreSQL 14 to 18."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable

import psycopg2
import psycopg2.sql
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from servers import DB_SQL, ROOT, SUPERUSER, Postgres, free_port, running

RESET = ROOT / "docker/db/reset-db.sh"
CHECK = ROOT / "docker/db/check-db.sh"

VERSIONS = ["14", "15", "16", "17", "18"]
StartPostgres = Callable[..., Postgres]


def connect(server: Postgres, name: str, user: str, password: str) -> psycopg2.extensions.connection:
    """Log in over TCP, as the application does."""
    return psycopg2.connect(
        host="127.0.0.1", port=server.port, dbname=name, user=user, password=password, connect_timeout=5
    )


def assert_usable(server: Postgres, name: str, user: str, password: str) -> None:
    """Assert that the application can log in, create a table, and create and drop a test database."""
    with contextlib.closing(connect(server, name, user, password)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_database(), current_user")
            assert cursor.fetchone() == (name, user)
            cursor.execute("CREATE TABLE created (id int)")
            cursor.execute("DROP TABLE created")
            # Short, for the name of the database may take all the bytes there are.
            cursor.execute("CREATE DATABASE test_created")
            cursor.execute("DROP DATABASE test_created")


def drop(server: Postgres, name: str, user: str) -> None:
    """Drop a database and a role."""
    for statement, identifier in (("DROP DATABASE {} WITH (FORCE)", name), ("DROP ROLE {}", user)):
        with contextlib.closing(
            psycopg2.connect(host=str(server.directory), port=server.port, user=SUPERUSER, dbname="postgres")
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(psycopg2.sql.SQL(statement).format(psycopg2.sql.Identifier(identifier)))


def run(server: Postgres, script: os.PathLike[str], **variables: str) -> tuple[int, str]:
    """Run a script of the db container; return its exit code and its output."""
    environment = {**server.superuser_environment, "INIT_SQL": str(DB_SQL), **variables}
    result = subprocess.run(["bash", script], env=environment, text=True, capture_output=True, timeout=30)
    return result.returncode, result.stdout + result.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_application_can_use_its_database(start_postgres: StartPostgres, version: str) -> None:
    server = start_postgres(version)
    assert server.version.partition(".")[0] == version

    server.initialise_application("my-App", "Web user", "pass word")

    assert_usable(server, "my-App", "Web user", "pass word")
    assert server.query(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, pg_get_userbyid(datdba)"
        " FROM pg_roles JOIN pg_database ON datname = 'my-App' WHERE rolname = 'Web user'"
    ) == [(False, True, False, False, False, "Web user")]
    server.stop()


# Whatever an environment variable may hold; a name also has a longest length, in bytes.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=70)
NAMES = st.one_of(TEXT, st.text("'\"$\\ -:@%=/{}é\t;`", min_size=1, max_size=63)).filter(
    lambda text: len(text.encode()) <= 63
)
# PostgreSQL keeps `pg_` for itself, and takes these two words for no role.
ROLES = NAMES.filter(lambda name: not name.startswith("pg_") and name not in ("public", "none", SUPERUSER))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(name='a"b', user="o'neil", password="'\"$HOME\\`id`\n%s:@/ü\n")
@example(name="postgresql://x/y", user="dbname=z", password="\n")
@example(name="n" * 63, user="é" * 31, password="\\")
@example(name=":db_user", user=":'db_password'", password=":db_name")
@example(name="$$", user="%I", password="\ud7ff\U0010ffff\x01")
@given(
    name=NAMES.filter(lambda name: name not in ("postgres", "template0", "template1", "shop")),
    user=ROLES,
    password=TEXT,
)
def test_any_names_and_password_work(postgres: Postgres, name: str, user: str, password: str) -> None:
    try:
        postgres.initialise_application(name, user, password)
        assert_usable(postgres, name, user, password)
    finally:
        drop(postgres, name, user)


def test_role_that_exists_gets_the_password_and_its_database_is_kept(postgres: Postgres) -> None:
    postgres.initialise_application("kept", "keeper", "old")
    with (
        contextlib.closing(connect(postgres, "kept", "keeper", "old")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("CREATE TABLE kept (id int)")
        connection.commit()

    postgres.initialise_application("kept", "keeper", "new")

    with (
        contextlib.closing(connect(postgres, "kept", "keeper", "new")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT count(*) FROM kept")
        assert cursor.fetchone() == (0,)
    with pytest.raises(psycopg2.OperationalError):
        connect(postgres, "kept", "keeper", "old")
    drop(postgres, "kept", "keeper")


def test_database_of_the_superuser_is_handed_over(postgres: Postgres) -> None:
    # As when POSTGRES_DB names the application's database: the image has created it already.
    postgres.query("CREATE DATABASE handed_over")

    postgres.initialise_application("handed_over", "receiver", "secret")

    assert_usable(postgres, "handed_over", "receiver", "secret")
    drop(postgres, "handed_over", "receiver")


def test_superuser_keeps_its_rights(start_postgres: StartPostgres) -> None:
    server = start_postgres()
    rights = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolcanlogin FROM pg_roles"

    result = server.psql("--file", str(DB_SQL), DB_NAME="postgres", DB_USER=SUPERUSER, DB_PASSWORD="secret")

    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "db.sql: DB_USER is a superuser: give the application a role of its own\n"
    assert server.query(f"{rights} WHERE rolname = %s", SUPERUSER) == [(True,) * 6]
    server.stop()


def test_all_wrong_variables_are_reported_at_once(postgres: Postgres) -> None:
    result = postgres.psql("--file", str(DB_SQL), DB_USER="é" * 32, DB_PASSWORD="")

    assert result.returncode == 3
    assert result.stderr.partition("ERROR:  ")[2] == (
        "DB_NAME is not set: set it in the environment of the db container; "
        "DB_PASSWORD is not set: set it in the environment of the db container; "
        "DB_USER has 64 bytes: PostgreSQL takes 63 at most\n"
    )
    assert postgres.query("SELECT FROM pg_roles WHERE rolname LIKE 'é%%'") == []


@pytest.mark.parametrize("password", ["md5" + "0a" * 16, "SCRAM-SHA-256$4096:a$b:c"])
def test_password_that_would_be_taken_for_a_hash_is_refused(postgres: Postgres, password: str) -> None:
    result = postgres.psql("--file", str(DB_SQL), DB_NAME="hashed", DB_USER="hashed", DB_PASSWORD=password)

    assert result.returncode == 3
    assert result.stderr.partition("ERROR:  ")[2] == (
        "DB_PASSWORD looks like a stored hash, which PostgreSQL would take as such: choose another\n"
    )
    assert postgres.query("SELECT FROM pg_roles WHERE rolname = 'hashed'") == []


def test_password_reaches_no_log(start_postgres: StartPostgres) -> None:
    server = start_postgres()
    server.query("ALTER SYSTEM SET log_statement = 'all'")
    server.query("SELECT pg_reload_conf()")

    server.initialise_application("shop", "web", "hunter2")
    reserved = server.psql("--file", str(DB_SQL), DB_NAME="shop", DB_USER="pg_web", DB_PASSWORD="hunter2")

    assert (reserved.returncode, "hunter2" in server.log) == (3, False)
    assert 'role name "pg_web" is reserved' in reserved.stderr
    server.stop()


def test_reset_empties_one_database_in_use_and_leaves_the_others(postgres: Postgres) -> None:
    postgres.initialise_application("other", "other", "secret")
    postgres.initialise_application("re'set", "reset", "secret")
    application = {"DB_NAME": "re'set", "DB_USER": "reset", "DB_PASSWORD": "secret"}
    with contextlib.closing(connect(postgres, "re'set", "reset", "secret")) as in_use:
        with in_use.cursor() as cursor:
            cursor.execute("CREATE TABLE filled (id int)")
            in_use.commit()

        assert run(postgres, RESET, **application) == (0, "")

    with (
        contextlib.closing(connect(postgres, "re'set", "reset", "secret")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchone() == (0,)
    assert_usable(postgres, "re'set", "reset", "secret")
    assert_usable(postgres, "other", "other", "secret")
    drop(postgres, "re'set", "reset")
    drop(postgres, "other", "other")


def test_reset_creates_a_database_that_is_missing(postgres: Postgres) -> None:
    assert run(postgres, RESET, DB_NAME="missing", DB_USER="missing", DB_PASSWORD="secret") == (0, "")

    assert_usable(postgres, "missing", "missing", "secret")
    drop(postgres, "missing", "missing")


WAITING = "reset-db.sh: waiting for the server..\n"


def test_reset_waits_for_the_server_but_not_for_the_application(start_postgres: StartPostgres) -> None:
    """Over the server that initialises the volume, too: its end would cut the work in two."""
    server = start_postgres(started=False)
    variables = {"DB_NAME": "new", "DB_USER": "new", "DB_PASSWORD": "secret", "INIT_SQL": str(DB_SQL)}
    environment = {**server.superuser_environment, **variables}
    with running(["bash", str(RESET)], env=environment) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == WAITING
        server.start("-c listen_addresses=''")
        time.sleep(1.5)
        assert server.query("SELECT count(*) FROM pg_database WHERE datname = 'new'") == [(0,)]
        server.stop()
        time.sleep(0.5)
        server.start()
        assert (process.communicate(timeout=20), process.returncode) == (("", ""), 0)

    assert_usable(server, "new", "new", "secret")
    server.stop()


def test_reset_waits_within_a_bound(start_postgres: StartPostgres) -> None:
    server = start_postgres(started=False)
    variables = {"DB_NAME": "new", "DB_USER": "new", "DB_PASSWORD": "secret", "RESET_WAIT_TIMEOUT": "1"}

    assert run(server, RESET, **variables) == (
        os.EX_TEMPFAIL,
        f"{WAITING}reset-db.sh: nothing was deleted, the server was not up within 1 s: look at its log\n",
    )


def test_reset_does_not_wait_for_a_server_that_refuses_the_superuser(postgres: Postgres) -> None:
    variables = {"DB_NAME": "shop", "DB_USER": "web", "DB_PASSWORD": "secret", "POSTGRES_USER": "nobody"}

    status, output = run(postgres, RESET, **variables)

    assert status == os.EX_NOPERM
    assert output.startswith(f"{WAITING}reset-db.sh: nothing was deleted, the superuser cannot log in: psql: error: ")
    assert output.endswith('FATAL:  role "nobody" does not exist\n')


@pytest.mark.parametrize("name", ["postgres", "template0", "template1"])
def test_reset_refuses_the_databases_of_postgresql(postgres: Postgres, name: str) -> None:
    status, output = run(postgres, RESET, DB_NAME=name, DB_USER="web", DB_PASSWORD="secret")

    assert status == os.EX_CONFIG
    assert output == f"reset-db.sh: `{name}` is a database of PostgreSQL itself, which is not dropped: check DB_NAME\n"
    assert postgres.query("SELECT count(*) FROM pg_database WHERE datname = %s", name) == [(1,)]


def test_reset_drops_nothing_when_it_could_not_create_it_again(postgres: Postgres) -> None:
    variables = {"DB_NAME": "shop", "DB_USER": "web"}

    assert run(postgres, RESET, **variables, DB_PASSWORD="secret", INIT_SQL="/missing.sql") == (
        os.EX_CONFIG,
        "reset-db.sh: /missing.sql cannot be read, so the database could not be created again: mount it\n",
    )
    assert run(postgres, RESET, DB_USER="web") == (
        os.EX_CONFIG,
        "reset-db.sh: DB_NAME is not set: set it in the environment of the db container\n"
        "reset-db.sh: DB_PASSWORD is not set: set it in the environment of the db container\n",
    )
    assert postgres.query("SELECT count(*) FROM pg_database WHERE datname = 'shop'") == [(1,)]


def test_check_is_silent_when_the_application_finds_its_database(postgres: Postgres) -> None:
    variables = {"PGPORT": str(postgres.port), "DB_USER": "web", "DB_PASSWORD": "secret"}

    assert run(postgres, CHECK, DB_NAME="shop", **variables) == (0, "")


def test_check_says_that_the_database_is_missing(postgres: Postgres) -> None:
    variables = {"PGPORT": str(postgres.port), "DB_USER": "web", "DB_PASSWORD": "secret"}

    assert run(postgres, CHECK, DB_NAME="db name=x", **variables) == (
        1,
        "check-db.sh: the application cannot log in to its database: look at the log of the first start, "
        "or type `reset-db.sh` in this container for an empty one\n"
        f'psql: error: connection to server at "127.0.0.1", port {postgres.port} failed: '
        'FATAL:  database "db name=x" does not exist\n',
    )


def test_check_says_that_the_server_is_down(postgres: Postgres) -> None:
    port = free_port()
    variables = {"PGPORT": str(port), "DB_NAME": "shop", "DB_USER": "web", "DB_PASSWORD": "secret"}

    assert run(postgres, CHECK, **variables) == (2, f"127.0.0.1:{port} - no response\n")


def test_reset_drops_nothing_when_the_role_could_not_be_created(postgres: Postgres) -> None:
    status, output = run(postgres, RESET, DB_NAME="shop", DB_USER="u" * 64, DB_PASSWORD="secret")

    assert status == 3
    assert output.partition("ERROR:  ")[2] == "DB_USER has 64 bytes: PostgreSQL takes 63 at most\n"
    assert postgres.query("SELECT count(*) FROM pg_database WHERE datname = 'shop'") == [(1,)]
