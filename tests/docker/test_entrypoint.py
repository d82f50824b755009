"""What entrypoint.sh does with real servers, and with what is none."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import APP, Postgres, free_port, running, unavailable, wait_until

Environment = Callable[..., dict[str, str]]

TRYING = "Trying to connect to database 'shop' on host '127.0.0.1'..\n"
SLEEPING = "Postgres is unavailable - sleeping\n"
UP = "Postgres is up - continuing...\n"


def enter(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run the entry point with *command*."""
    return subprocess.run(
        ["bash", APP / "entrypoint.sh", *command], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def python(request: pytest.FixtureRequest, python_with: Callable[..., str]) -> str:
    """The Python of the scripts, with the driver that `drivers` names; psycopg2 without that."""
    driver = getattr(request, "param", PSYCOPG_2)
    return sys.executable if driver == PSYCOPG_2 else python_with(*filter(None, [driver]))


PSYCOPG_2, PSYCOPG_3 = "psycopg2-binary", "psycopg[binary]==3.3.9"
drivers = pytest.mark.parametrize("python", [PSYCOPG_2, PSYCOPG_3], indirect=True)


@pytest.fixture
def login(container: Environment, postgres: Postgres) -> Environment:
    """Return a function that gives an environment that can log in, but for the variables passed."""

    def environment(**variables: object) -> dict[str, str]:
        right = {
            "DB_HOST": "127.0.0.1",
            "DB_PORT": postgres.port,
            "DB_NAME": "shop",
            "DB_USER": "web",
            "DB_PASSWORD": "secret",
            "DB_WAIT_TIMEOUT": 5,
        }
        return container(**{**right, **variables})

    return environment


def assert_refused(result: subprocess.CompletedProcess[str], status: int, message: str) -> None:
    """Assert that the command did not run, and the whole message."""
    assert (result.returncode, result.stderr) == (status, f"wait-for-database: {message}\n")
    assert "ran" not in result.stdout


@drivers
def test_command_runs_once_the_database_answers(login: Environment) -> None:
    result = enter(login(), "echo", "ran", "a  b", "$HOME")

    assert (result.returncode, result.stdout, result.stderr) == (0, TRYING + UP + "ran a  b $HOME\n", "")


def test_exit_code_of_the_command_is_kept(login: Environment) -> None:
    assert enter(login(), "bash", "-c", "exit 42").returncode == 42


@pytest.mark.parametrize("variables", [{}, {"DB_HOST": ""}, {"DB_HOST": "127.0.0.1", "DB_WAIT_TIMEOUT": "0"}])
def test_nothing_is_waited_for_without_a_host_or_with_a_bound_of_0(
    container: Environment, variables: dict[str, str]
) -> None:
    result = enter(container(**variables), "echo", "ran")

    assert (result.returncode, result.stdout, result.stderr) == (0, "ran\n", "")


def test_missing_command_is_reported(container: Environment) -> None:
    result = enter(container())

    assert result.returncode == os.EX_USAGE
    assert result.stderr == "entrypoint.sh: no command given: name one, such as `start-dev-server.sh`\n"


@drivers
def test_wrong_password_is_given_up_at_once(login: Environment, postgres: Postgres) -> None:
    assert_refused(
        enter(login(DB_PASSWORD="wrong", DB_WAIT_TIMEOUT=60), "echo", "ran"),
        os.EX_NOPERM,
        f"the server on host `127.0.0.1`, port {postgres.port} refuses the password of role `web`, or has "
        "no such role, it does not tell which: compare DB_USER and DB_PASSWORD with those the database was "
        'created with (password authentication failed for user "web")',
    )


@drivers
def test_missing_password_is_told_apart_from_a_wrong_one(login: Environment, postgres: Postgres) -> None:
    assert_refused(
        enter(login(DB_PASSWORD="", DB_WAIT_TIMEOUT=60), "echo", "ran"),
        os.EX_NOPERM,
        f"the server on host `127.0.0.1`, port {postgres.port} wants a password of role `web`: "
        "set DB_PASSWORD or DB_PASSWORD_FILE",
    )


@drivers
def test_missing_role_is_given_up_at_once(login: Environment, postgres: Postgres) -> None:
    socket_directory = str(postgres.directory)

    assert_refused(
        enter(login(DB_HOST=socket_directory, DB_USER="nobody", DB_WAIT_TIMEOUT=60), "echo", "ran"),
        os.EX_NOPERM,
        f"the server on host `{socket_directory}`, port {postgres.port} refuses role `nobody`: "
        'check DB_USER and its rights (role "nobody" does not exist)',
    )


@drivers
def test_missing_database_is_given_up_at_once(login: Environment, postgres: Postgres) -> None:
    assert_refused(
        enter(login(DB_NAME="none", DB_WAIT_TIMEOUT=60), "echo", "ran"),
        os.EX_NOINPUT,
        f"the server on host `127.0.0.1`, port {postgres.port} has no database `none`: "
        'check DB_NAME or create it (database "none" does not exist)',
    )


def test_unknown_host_name_is_told_apart_from_a_server_that_is_down(login: Environment) -> None:
    result = enter(login(DB_HOST="database.invalid", DB_WAIT_TIMEOUT=1), "echo", "ran")

    assert result.returncode == os.EX_NOHOST
    assert result.stderr.startswith(
        "wait-for-database: the host name `database.invalid` cannot be resolved: "
        "check DB_HOST, and that the database runs ("
    )


def test_text_that_is_no_host_name_is_given_up_at_once(login: Environment) -> None:
    host = "a" * 64 + ".invalid"

    assert_refused(
        enter(login(DB_HOST=host, DB_WAIT_TIMEOUT=60), "echo", "ran"),
        os.EX_NOHOST,
        f"the host name `{host}` cannot be resolved: check DB_HOST, and that the database runs (not a host name)",
    )


def test_all_malformed_variables_are_reported_at_once(login: Environment, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    variables = {"DB_NAME": "", "DB_USER": "", "DB_PORT": "70000", "DB_WAIT_TIMEOUT": "1m"}

    result = enter(login(**variables, DB_PASSWORD_FILE=missing), "echo", "ran")

    assert (result.returncode, result.stdout) == (os.EX_CONFIG, "")
    assert result.stderr.splitlines() == [
        "wait-for-database: DB_NAME is not set",
        "wait-for-database: DB_USER is not set",
        "wait-for-database: DB_PORT is `70000`: set a port number from 1 to 65535",
        "wait-for-database: DB_WAIT_TIMEOUT is `1m`: set whole seconds, 0 for no wait",
        "wait-for-database: DB_PASSWORD and DB_PASSWORD_FILE are both set: unset one of them",
        f"wait-for-database: DB_PASSWORD_FILE is `{missing}`: No such file or directory",
    ]


@pytest.mark.parametrize("python", [""], indirect=True)
def test_project_without_a_driver_is_told_so(login: Environment, tmp_path: Path) -> None:
    # In the place of the library of the system, which psycopg would use as well.
    (tmp_path / "libpq.so.5").touch()

    assert_refused(
        enter(login(LD_LIBRARY_PATH=tmp_path), "echo", "ran"),
        os.EX_UNAVAILABLE,
        "no driver of PostgreSQL is installed: add `psycopg2-binary` or `psycopg[binary]` to the requirements, "
        "or set DB_HOST to nothing where the project uses no database server",
    )


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_password_is_read_from_a_file(login: Environment, tmp_path: Path, ending: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(f"secret{ending}".encode())

    assert enter(login(DB_PASSWORD="", DB_PASSWORD_FILE=secret), "echo", "ran").stdout == TRYING + UP + "ran\n"


@pytest.mark.parametrize("password", ['a"b', "a\\tb", "'; import os; os._exit(9) #", "$(exit 9)`exit 9`", "%s{}\n"])
def test_password_is_no_code(login: Environment, postgres: Postgres, password: str) -> None:
    postgres.initialise_application("odd", "odd", password)
    try:
        result = enter(login(DB_NAME="odd", DB_USER="odd", DB_PASSWORD=password), "echo", "ran")
    finally:
        postgres.query("DROP DATABASE odd WITH (FORCE)")
        postgres.query("DROP ROLE odd")

    assert (result.returncode, result.stdout, result.stderr) == (0, TRYING.replace("shop", "odd") + UP + "ran\n", "")


@drivers
def test_server_that_is_down_is_given_up_after_the_bound(login: Environment) -> None:
    port = free_port()
    started = time.monotonic()

    result = enter(login(DB_PORT=port, DB_WAIT_TIMEOUT=2), "echo", "ran")

    assert 2 <= time.monotonic() - started < 3
    assert (result.returncode, result.stdout) == (os.EX_TEMPFAIL, TRYING + 2 * SLEEPING)
    assert result.stderr.startswith(
        f"wait-for-database: the server on host `127.0.0.1`, port {port} was not up within 2 s: "
        "look at its log, or raise DB_WAIT_TIMEOUT ("
    )
    assert "Connection refused" in result.stderr
    assert result.stderr.count("\n") == 1


def test_command_runs_soon_after_the_server_is_up(start_postgres: Callable[..., Postgres], login: Environment) -> None:
    server = start_postgres()
    server.initialise_application()
    server.stop()
    with running(["bash", str(APP / "entrypoint.sh"), "date", "+%s.%N"], env=login(DB_PORT=server.port)) as process:
        time.sleep(0.6)
        server.start()
        up = time.time()
        output, _ = process.communicate(timeout=10)

    assert output.startswith(TRYING + SLEEPING)
    assert UP in output
    # `pg_ctl --wait` looks every 100 ms, so the server may have been up before; and pauses have not grown
    # long yet.
    assert float(output.splitlines()[-1]) - up < 0.5


@contextlib.contextmanager
def listening(answer: bytes | None) -> Iterator[int]:
    """Listen, give each client *answer* to its first message, hang without one; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    clients.append(client)
                    if answer is not None:
                        while client.recv(1024)[4:8] == bytes([4, 210, 22, 47]):  # SSLRequest
                            client.sendall(b"N")
                        client.sendall(answer)
                        client.close()

        server = threading.Thread(target=serve)
        server.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        for client in clients:
            client.close()
        server.join()


def error_response(code: str, words: str) -> bytes:
    """Return PostgreSQL's message of an error in a server that speaks French."""
    fields = b"".join([b"SFATAL\0VFATAL\0C", code.encode(), b"\0M", words.encode(), b"\0Fauth.c\0L1\0Rauth_failed\0\0"])
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


@drivers
def test_server_that_never_answers_stays_within_the_bound(login: Environment) -> None:
    with listening(answer=None) as port:
        started = time.monotonic()
        result = enter(login(DB_PORT=port, DB_WAIT_TIMEOUT=2), "echo", "ran")

    assert time.monotonic() - started < 3
    assert_refused(
        result,
        os.EX_TEMPFAIL,
        f"the server on host `127.0.0.1`, port {port} was not up within 2 s: "
        "look at its log, or raise DB_WAIT_TIMEOUT (no answer)",
    )


@drivers
def test_language_of_the_server_does_not_matter(login: Environment) -> None:
    words = "authentification par mot de passe échouée pour l'utilisateur « web »"
    with listening(error_response("28P01", words)) as port:
        result = enter(login(DB_PORT=port), "echo", "ran")

    assert result.returncode == os.EX_NOPERM
    assert result.stderr.endswith(f"({words})\n")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("57P03", "le système de bases de données se lance"),
        ("53300", "désolé, trop de clients sont déjà connectés"),
    ],
)
def test_server_that_is_starting_up_or_full_is_waited_for(login: Environment, code: str, words: str) -> None:
    with listening(error_response(code, words)) as port:
        result = enter(login(DB_PORT=port, DB_WAIT_TIMEOUT=1), "echo", "ran")

    assert_refused(
        result,
        os.EX_TEMPFAIL,
        f"the server on host `127.0.0.1`, port {port} was not up within 1 s: "
        f"look at its log, or raise DB_WAIT_TIMEOUT ({words})",
    )


def test_server_of_another_kind_is_given_up_at_once(login: Environment) -> None:
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        result = enter(login(DB_PORT=port, DB_WAIT_TIMEOUT=60), "echo", "ran")

    assert result.returncode == os.EX_PROTOCOL
    assert result.stderr.startswith(
        f"wait-for-database: what answers on host `127.0.0.1`, port {port} is no PostgreSQL server: "
        "check DB_HOST and DB_PORT ("
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_ends_the_wait_at_once(login: Environment, number: signal.Signals, status: int) -> None:
    with running(
        ["bash", str(APP / "entrypoint.sh"), "echo", "ran"],
        env=login(DB_PORT=free_port(), DB_WAIT_TIMEOUT=60),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == TRYING
        started = time.monotonic()
        process.send_signal(number)

        assert process.wait(timeout=10) == status
        assert time.monotonic() - started < 1


def test_signal_ends_the_wait_of_process_1(login: Environment) -> None:
    # The kernel drops a signal to process 1 that has no handler for it.
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--user", "--map-root-user"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        unavailable("this machine allows no PID namespace")
    environment = login(DB_PORT=free_port(), DB_WAIT_TIMEOUT=60)
    with running([*unshare, "bash", str(APP / "entrypoint.sh"), "echo", "ran"], env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == TRYING
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: bool(children.read_text().split()), "unshare starts its child")
        os.kill(int(children.read_text().split()[0]), signal.SIGTERM)

        assert process.wait(timeout=10) == 143


def test_command_takes_the_place_of_the_entry_point(login: Environment) -> None:
    with running(["bash", str(APP / "entrypoint.sh"), "bash", "-c", "echo $$"], env=login()) as process:
        output, _ = process.communicate(timeout=10)

        assert output.splitlines()[-1] == str(process.pid)


def test_file_can_be_sourced_without_running(container: Environment) -> None:
    result = subprocess.run(
        ["bash", "-c", 'source "$1" && declare -F main', "test", APP / "entrypoint.sh"],
        env=container(DB_HOST="database.invalid"),
        capture_output=True,
        text=True,
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, "main\n", "")


SHOW = (
    "bash",
    "-c",
    'printf "%s|" "$SECRET_KEY" "$API_TOKEN" "${SECRET_KEY_FILE-unset}" "$SSL_CERT_FILE" "${SSL_CERT-unset}"',
)


def test_secrets_are_read_from_their_files_and_other_files_are_left_alone(
    container: Environment, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("k $HOME 'é' `id`\\n\n")
    (tmp_path / "token").write_text("two\nlines\n")
    environment = container(
        SECRETS_FOLDER=tmp_path,
        SECRET_KEY_FILE=tmp_path / "key",
        SECRET_KEY="",
        API_TOKEN_FILE=tmp_path / "token",
        SSL_CERT_FILE="/etc/ssl/certs/ca-certificates.crt",
    )

    result = enter(environment, *SHOW)

    expected = "k $HOME 'é' `id`\\n|two\nlines|unset|/etc/ssl/certs/ca-certificates.crt|unset|"
    assert (result.returncode, result.stdout, result.stderr) == (0, expected, "")


def test_all_secrets_that_cannot_be_had_are_named_at_once_and_no_value_is(
    container: Environment, tmp_path: Path
) -> None:
    for name, text in (("both", "hunter2"), ("empty", "")):
        (tmp_path / name).write_text(text)
    environment = container(
        SECRETS_FOLDER=tmp_path,
        BOTH="hunter3",
        BOTH_FILE=tmp_path / "both",
        EMPTY_FILE=tmp_path / "empty",
        FOLDER_FILE=f"{tmp_path}/bin",
        NONE_FILE=tmp_path / "none",
    )

    result = enter(environment, "echo", "ran")

    assert (result.returncode, result.stdout) == (os.EX_CONFIG, "")
    told = f"which cannot be read: mount the secret, readable by user {os.getuid()}"
    assert sorted(result.stderr.splitlines()) == [
        "entrypoint.sh: BOTH and BOTH_FILE are both set: unset one of them",
        "entrypoint.sh: EMPTY_FILE names an empty file: write the value of EMPTY into it",
        f"entrypoint.sh: FOLDER_FILE is `{tmp_path}/bin`, {told}",
        f"entrypoint.sh: NONE_FILE is `{tmp_path}/none`, {told}",
    ]
