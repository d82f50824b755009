"""The scripts that start the processes of the app image."""

import asyncio
import http.client
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from servers import APP, ROOT, free_port, running, wait_until

Environment = Callable[..., dict[str, str]]

SCRIPTS = sorted(ROOT.glob("docker/*/*.sh"))


@pytest.fixture
def recorded(container: Environment, scripts: Path) -> Environment:
    """Return a function that gives an environment whose programs print their process id and arguments."""
    for program in ("python", "gunicorn", "celery", "reload-on-edit", "reload-on-request"):
        (scripts / program).unlink(missing_ok=True)
        (scripts / program).write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$$" "${0##*/}" "$@"\n')
        (scripts / program).chmod(0o755)
    # Without the folder of the page's client, which an image has where the broker is SQS.
    return lambda **variables: container(**{"BERTH_LIB": "/nonexistent", **variables})


def start(script: str, *arguments: str, env: dict[str, str]) -> tuple[list[str], bool]:
    """Run *script*; return the command line it ends in, and whether that took the script's place."""
    with running(["bash", str(APP / script), *arguments], env=env) as process:
        output, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")
        _, process_id, *command = output.splitlines() if "gunicorn" not in output else ["", *output.splitlines()]
        return command, int(process_id) == process.pid


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_valid_executable_and_strict(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], capture_output=True).returncode == 0
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n#\n")
    assert "\nset -Eeuo pipefail\n" in text


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_can_be_sourced_without_running(script: Path) -> None:
    result = subprocess.run(
        ["bash", "-c", 'source "$1"; declare -F main', "test", script], capture_output=True, text=True
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, "main\n", "")


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("start-dev-server.sh", ["reload-on-request", "python", "manage.py", "runserver", "0.0.0.0:8000"]),
        ("migrate.sh", ["python", "manage.py", "migrate", "--noinput"]),
        ("start-prod-server.sh", ["gunicorn", "--config", "/usr/local/etc/gunicorn.conf.py", "app.wsgi"]),
    ],
)
def test_script_becomes_its_process(recorded: Environment, script: str, command: list[str]) -> None:
    assert start(script, env=recorded()) == (command, True)


def test_wsgi_module_is_configurable(recorded: Environment) -> None:
    command, _ = start("start-prod-server.sh", env=recorded(WSGI_MODULE="shop.wsgi"))

    assert command == ["gunicorn", "--config", "/usr/local/etc/gunicorn.conf.py", "shop.wsgi"]


def test_an_asgi_application_is_served_in_the_place_of_the_other(recorded: Environment) -> None:
    command, _ = start("start-prod-server.sh", env=recorded(WSGI_MODULE="shop.wsgi", ASGI_MODULE="shop.asgi"))

    assert command == ["gunicorn", "--config", "/usr/local/etc/gunicorn.conf.py", "shop.asgi"]


def test_an_asgi_application_gets_its_worker_and_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASGI_MODULE", "shop.asgi")
    monkeypatch.setenv("HEALTH_PATH", "/ready")
    config = runpy.run_path(str(APP / "gunicorn.conf.py"))
    assert config["worker_class"].endswith(".UvicornWorker")

    async def application(scope: dict[str, str], receive: object, send: Callable[[object], Awaitable[None]]) -> None:
        await send(scope["path"])

    def asked(path: str) -> list[object]:
        said: list[object] = []

        async def send(message: object) -> None:
            said.append(message["status"] if isinstance(message, dict) and "status" in message else message)

        asyncio.run(worker.wsgi({"type": "http", "path": path}, None, send))
        return said[:1]

    worker = SimpleNamespace(wsgi=application)
    config["post_worker_init"](worker)
    assert asked("/ready") == ["/ready"]
    config["DRAINING"][0] = 1
    assert (asked("/ready"), asked("/page")) == ([503], ["/page"])


def worker_line(*options: str, app: str = "app", level: str = "INFO") -> list[str]:
    """Return the line of a worker with what Berth adds."""
    return [
        "celery",
        "-A",
        app,
        "worker",
        "--include",
        "berth_worker",
        "--loglevel",
        level,
        *options,
    ]


def test_worker_becomes_celery_for_its_queues(recorded: Environment) -> None:
    environment = recorded(CELERY_APP="shop", CELERY_CONCURRENCY="3", LOG_LEVEL="WARNING")
    line = worker_line("--queues", "default,mail", "--concurrency", "3", app="shop", level="WARNING")

    assert start("start-celery-worker.sh", "default", "mail", env=environment) == (line, True)


def test_worker_tells_the_page_of_the_queues_where_the_image_has_it(recorded: Environment) -> None:
    command, _ = start("start-celery-worker.sh", env=recorded(BERTH_LIB=str(APP)))

    assert command[command.index("--include") + 1] == "berth_worker,berth_queues.failures"


def test_worker_has_defaults_takes_the_queues_of_the_project_and_never_prints_the_broker(recorded: Environment) -> None:
    empty = dict.fromkeys(["CELERY_APP", "CELERY_CONCURRENCY", "LOG_LEVEL", "WORKER_RELOAD"], "")
    environment = recorded(CELERY_BROKER_URL="sqs://key:hunter2@broker:9324", **empty)

    with running(["bash", str(APP / "start-celery-worker.sh")], env=environment) as process:
        output, errors = process.communicate(timeout=10)

    assert output.splitlines() == ["Starting worker for the queues of the project..", str(process.pid), *worker_line()]
    assert "hunter2" not in output + errors


def test_reloading_worker_gets_more_time_to_end_than_its_tasks(recorded: Environment) -> None:
    for variable, value, seconds in (
        ("WORKER_SOFT_SHUTDOWN_TIMEOUT", "30.5", "39"),
        ("WORKER_GRACE_PERIOD", "", "34"),
        ("WORKER_GRACE_PERIOD", "100", "94"),
        ("WORKER_GRACE_PERIOD", "10", "14"),
    ):
        environment = recorded(WORKER_RELOAD="1", **{variable: value})
        line = ["reload-on-edit", seconds, *worker_line("--queues", "default")]

        assert start("start-celery-worker.sh", "default", env=environment) == (line, True)


def test_worker_reports_all_wrong_settings_at_once(recorded: Environment) -> None:
    environment = recorded(
        CELERY_CONCURRENCY="0",
        LOG_LEVEL="LOUD",
        SQS_TRANSPORT="slow",
        WORKER_GRACE_PERIOD="1m",
        WORKER_SOFT_SHUTDOWN_TIMEOUT="1m",
        WORKER_RELOAD="yes",
    )

    result = subprocess.run(
        ["bash", APP / "start-celery-worker.sh", "a,b", "--purge", "ok.fifo"],
        env=environment,
        capture_output=True,
        text=True,
    )

    assert (result.returncode, result.stdout) == (os.EX_USAGE, "")
    assert result.stderr.splitlines() == [
        "start-celery-worker.sh: `a,b` is not a queue name: use up to 80 letters, digits, `-` and `_`",
        "start-celery-worker.sh: `--purge` is not a queue name: use up to 80 letters, digits, `-` and `_`",
        "start-celery-worker.sh: CELERY_CONCURRENCY is `0`: set a whole number from 1, or `auto`",
        "start-celery-worker.sh: LOG_LEVEL is `LOUD`: set DEBUG, INFO, WARNING, ERROR or CRITICAL",
        "start-celery-worker.sh: WORKER_GRACE_PERIOD is `1m`: set a whole number of seconds",
        "start-celery-worker.sh: WORKER_SOFT_SHUTDOWN_TIMEOUT is `1m`: set seconds",
        "start-celery-worker.sh: SQS_TRANSPORT is `slow`: set fast_sqs or kombu",
        "start-celery-worker.sh: WORKER_RELOAD is `yes`: set 1 or 0",
    ]


def test_failed_step_stops_the_script(recorded: Environment, scripts: Path) -> None:
    (scripts / "python").write_text("#!/bin/sh\nexit 7\n")

    assert subprocess.run(["bash", APP / "migrate.sh"], env=recorded(), capture_output=True).returncode == 7


GUNICORN_APP = """
import time

def application(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"done"]
"""


@pytest.fixture
def gunicorn(container: Environment, tmp_path: Path) -> Environment:
    """Return a function that gives the environment of a start-prod-server.sh that serves GUNICORN_APP."""
    (tmp_path / "shop.py").write_text(GUNICORN_APP)

    def environment(port: int, **variables: object) -> dict[str, str]:
        right = {
            "GUNICORN_CONFIG": APP / "gunicorn.conf.py",
            "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port} --chdir {tmp_path}",
            "WSGI_MODULE": "shop:application",
            "WEB_CONCURRENCY": "1",
            "DRAIN_SECONDS": "0",
        }
        return container(**{**right, **variables})

    return environment


def answers(port: int) -> bool:
    """Return whether something listens on *port*."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_gunicorn_finishes_requests_and_ends_in_time_with_idle_connections_open(
    gunicorn: Environment,
) -> None:
    port = free_port()
    with (
        running(["bash", str(APP / "start-prod-server.sh")], env=gunicorn(port)) as server,
        closing(http.client.HTTPConnection("127.0.0.1", port)) as idle,
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as busy,
    ):
        wait_until(lambda: answers(port), "gunicorn listens")
        idle.request("GET", "/")
        assert idle.getresponse().read() == b"done"
        busy.request("GET", "/?2")
        time.sleep(0.5)
        started = time.monotonic()
        server.send_signal(signal.SIGTERM)
        response = busy.getresponse()

        assert (response.status, response.read()) == (200, b"done")
        assert server.wait(timeout=10) == 0
        assert time.monotonic() - started < 5


def test_gunicorn_serves_requests_at_the_same_time(gunicorn: Environment) -> None:
    port = free_port()
    with running(["bash", str(APP / "start-prod-server.sh")], env=gunicorn(port, WEB_CONCURRENCY="")):
        wait_until(lambda: answers(port), "gunicorn listens")

        def status(_: int) -> int:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
                connection.request("GET", "/?1")
                return connection.getresponse().status

        started = time.monotonic()
        with ThreadPoolExecutor(4) as clients:
            assert list(clients.map(status, range(4))) == [200] * 4
        # Less than one after the other.
        assert time.monotonic() - started < 4


def test_gunicorn_reports_all_wrong_settings_at_once(gunicorn: Environment) -> None:
    environment = gunicorn(
        free_port(),
        WEB_CONCURRENCY="0",
        GUNICORN_THREADS="many",
        GUNICORN_TIMEOUT="-1",
        GUNICORN_GRACEFUL_TIMEOUT="0",
        GUNICORN_MAX_REQUESTS="1k",
        GUNICORN_ACCESS_LOG="file",
        DRAIN_SECONDS="5s",
    )

    result = subprocess.run(
        ["bash", APP / "start-prod-server.sh"], env=environment, capture_output=True, text=True, timeout=20
    )

    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "gunicorn.conf.py: WEB_CONCURRENCY is `0`: set a whole number from 1",
        "gunicorn.conf.py: GUNICORN_THREADS is `many`: set a whole number from 1",
        "gunicorn.conf.py: GUNICORN_TIMEOUT is `-1`: set a whole number from 1",
        "gunicorn.conf.py: GUNICORN_GRACEFUL_TIMEOUT is `0`: set a whole number from 1",
        "gunicorn.conf.py: GUNICORN_MAX_REQUESTS is `1k`: set a whole number from 0",
        "gunicorn.conf.py: GUNICORN_ACCESS_LOG is `file`: set `json`, `-` or `none`",
        "gunicorn.conf.py: DRAIN_SECONDS is `5s`: set a whole number from 0",
    ]


def test_malformed_number_of_workers_is_one_line(gunicorn: Environment) -> None:
    result = subprocess.run(
        ["bash", APP / "start-prod-server.sh"],
        env=gunicorn(free_port(), WEB_CONCURRENCY="two"),
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert result.returncode == os.EX_CONFIG
    assert result.stderr == "start-prod-server.sh: WEB_CONCURRENCY is `two`: set a whole number from 1\n"


CONFIGURATION = APP / "gunicorn.conf.py"


@pytest.fixture
def configuration(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The names that gunicorn.conf.py defines without any variable set."""
    for name in [name for name in os.environ if name.startswith("GUNICORN_")] + ["WEB_CONCURRENCY", "DRAIN_SECONDS"]:
        monkeypatch.delenv(name, raising=False)
    return runpy.run_path(str(CONFIGURATION))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, 4),
        ({"cpu.max": "6400000 100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({}, 4),
    ],
)
def test_cpus_are_those_of_the_control_group(
    configuration: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    files: dict[str, str],
    expected: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)

    assert configuration["cpus"](tmp_path) == expected


def test_gunicorn_ends_before_compose_kills_it(configuration: dict[str, object]) -> None:
    assert configuration["drain"] + configuration["graceful_timeout"] < 35
    assert configuration["worker_class"] == "gthread"
    assert configuration["worker_tmp_dir"] == "/dev/shm"
    assert configuration["control_socket_disable"] is True


COUNTING = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
starts = pathlib.Path(sys.argv[1])
with starts.open("a") as file:
    file.write(os.environ["RUN_MAIN"] + "\\n")
code = sys.argv[1 + len(starts.read_text().splitlines())]
if code == "stay":
    time.sleep(60)
if code.endswith("later"):
    time.sleep(1.1)
os.kill(os.getpid(), signal.SIGKILL) if code == "killed" else sys.exit(int(code[0]))
"""


def reloader(folder: Path, *codes: str) -> list[str]:
    """Return the line of the reloader with a child that ends with *codes*, one at each of its starts."""
    return [
        sys.executable,
        str(APP / "reload_on_request.py"),
        sys.executable,
        "-c",
        COUNTING,
        *map(str, (folder, *codes)),
    ]


AT_ITS_START = "The server has ended with 3 at its start, starting it again in {} s..\n"


@pytest.mark.parametrize(("last", "code"), [("0", 0), ("1", 1), ("killed", 137)])
def test_server_is_started_again_as_long_as_it_asks_for_it(tmp_path: Path, last: str, code: int) -> None:
    starts = tmp_path / "starts"
    done = subprocess.run(reloader(starts, "3 later", "3 later", last), capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    assert starts.read_text() == "true\n" * 3


def test_server_that_ends_at_its_start_is_started_again_less_and_less_often(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    done = subprocess.run(reloader(starts, "3", "3", "3 later", "3", "0"), capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "".join(AT_ITS_START.format(seconds) for seconds in ("0.5", "1", "0.5"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_reloader_passes_a_signal_on_and_does_not_start_again(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    starts = tmp_path / "starts"
    with running(reloader(starts, "3", "stay")) as process:
        wait_until(lambda: starts.exists() and starts.read_text() == "true\n" * 2, "the second child runs")
        process.send_signal(number)
        assert process.wait(10) == code


def test_reloader_ends_in_a_pause_too(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    with running(reloader(starts, "3", "3", "3", "3", "0")) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)] == [AT_ITS_START.format(s) for s in ("0.5", "1", "2")]
        process.terminate()
        assert process.wait(1) == 143
    assert starts.read_text() == "true\n" * 3


def test_command_that_fails_without_an_edit_is_started_again(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo start >> starts; exit 3"]
    line = [sys.executable, str(APP / "reload_on_edit.py"), "1", *command]
    with running(line, cwd=tmp_path) as process:
        wait_until(
            lambda: (tmp_path / "starts").exists() and len((tmp_path / "starts").read_text().splitlines()) == 2,
            "the command is started again",
        )
        process.terminate()
        assert process.communicate()[0] == "The command has ended with 3, starting it again..\n"
        assert process.returncode == 3
