"""How start-prod-server.sh serves, and how it stops: with a WSGI application that knows nothing of all this."""

import contextlib
import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from clients import CLIENTS, load
from servers import APP, free_port, running, wait_until

Environment = Callable[..., dict[str, str]]
Serve = Callable[..., "contextlib.AbstractContextManager[Server]"]
Answer = tuple[int, dict[str, str], str]

APPLICATION = """
import time

def application(environ, start_response):
    if environ["PATH_INFO"] == "/broken":
        raise ValueError("broken on purpose")
    if environ["QUERY_STRING"][:1].isdigit():
        time.sleep(float(environ["QUERY_STRING"]))
    if environ["PATH_INFO"] == "/id":
        body = environ["HTTP_X_REQUEST_ID"].encode()
    else:
        body = b"done"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


class Server:
    """A running start-prod-server.sh."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process, self.port = process, port

    def get(self, path: str, **headers: str) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read().decode()

    def answers(self) -> bool:
        try:
            return self.get("/")[0] == 200
        except OSError:
            return False

    def stopped(self) -> tuple[int, list[dict[str, object]], str]:
        """Wait for the end; return the exit code, the lines of requests, and the server's own log."""
        output, errors = self.process.communicate(timeout=30)
        return self.process.returncode, [json.loads(line) for line in output.splitlines()], errors


@pytest.fixture
def serve(container: Environment, tmp_path: Path) -> Serve:
    """Return a context manager that has a server run, with some variables changed."""
    (tmp_path / "shop.py").write_text(APPLICATION)

    @contextmanager
    def start(**variables: object) -> Iterator[Server]:
        port = free_port()
        right = {
            "GUNICORN_CONFIG": APP / "gunicorn.conf.py",
            "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port} --chdir {tmp_path}",
            "WSGI_MODULE": "shop:application",
            "WEB_CONCURRENCY": "2",
            "DRAIN_SECONDS": "0",
        }
        with running(["bash", str(APP / "start-prod-server.sh")], env=container(**{**right, **variables})) as process:
            server = Server(process, port)
            wait_until(server.answers, "gunicorn answers")
            yield server

    return start


def test_readiness_fails_first_and_all_else_is_served_until_the_drain_is_over(serve: Serve) -> None:
    with serve(DRAIN_SECONDS="2", HEALTH_PATH="/ready") as server:
        assert server.get("/ready")[0] == 200
        started = time.monotonic()
        server.process.terminate()
        wait_until(lambda: server.get("/ready")[0] == 503, "the server drains", limit=1)
        answers = []
        while time.monotonic() - started < 1.7:
            answers.append(server.get("/page"))
            time.sleep(0.1)
        assert server.get("/ready")[2] == "draining\n"
        code, lines, _ = server.stopped()

    assert {(status, body, headers["Connection"]) for status, headers, body in answers} == {(200, "done", "close")}
    assert code == 0
    assert 2 <= time.monotonic() - started < 4
    assert {line["request"] for line in lines} == {"GET /", "GET /page"}, "probes leave no line"


@pytest.mark.parametrize("seconds", ["0", "1"])
def test_no_request_is_lost_whoever_the_clients_are(serve: Serve, seconds: str) -> None:
    with serve(DRAIN_SECONDS=seconds) as server, load(("127.0.0.1", server.port), "/?0.02") as asked:
        server.process.terminate()
        code, _, _ = server.stopped()

    assert (code, asked.counts["lost"], asked.problems) == (0, 0, {})
    assert asked.counts["refused"] == CLIENTS
    assert asked.counts["answered"] > CLIENTS


def test_the_test_of_lost_requests_can_fail(serve: Serve, tmp_path: Path) -> None:
    """gunicorn by itself resets the connections that the kernel has taken, and that no worker has."""
    (tmp_path / "plain.py").write_text('worker_class, threads, control_socket_disable = "gthread", 16, True')
    with (
        serve(GUNICORN_CONFIG=tmp_path / "plain.py") as server,
        load(("127.0.0.1", server.port), "/?0.02") as asked,
    ):
        server.process.terminate()
        server.process.communicate(timeout=30)

    assert asked.counts["lost"] > 0


@pytest.mark.parametrize(("number", "twice"), [(signal.SIGTERM, True), (signal.SIGINT, False), (signal.SIGQUIT, False)])
def test_who_cannot_wait_ends_the_drain(serve: Serve, number: signal.Signals, twice: bool) -> None:
    with serve(DRAIN_SECONDS="30") as server:
        started = time.monotonic()
        if twice:
            server.process.terminate()
            time.sleep(0.5)
        server.process.send_signal(number)
        code, _, _ = server.stopped()

    assert code == 0
    assert time.monotonic() - started < 5


def test_a_request_that_outlives_the_drain_is_finished(serve: Serve) -> None:
    with serve(DRAIN_SECONDS="1") as server, closing(http.client.HTTPConnection("127.0.0.1", server.port)) as busy:
        busy.request("GET", "/slow?3")
        time.sleep(0.2)
        server.process.terminate()
        assert (busy.getresponse().status, server.stopped()[0]) == (200, 0)


def test_drain_works_after_the_configuration_was_read_anew(serve: Serve) -> None:
    with serve(DRAIN_SECONDS="2", HEALTH_PATH="/ready") as server:
        server.process.send_signal(signal.SIGHUP)
        time.sleep(2)
        assert server.get("/ready")[0] == 200
        server.process.terminate()
        wait_until(lambda: server.get("/ready")[0] == 503, "the server drains", limit=1)
        assert server.get("/page")[0] == 200
        assert server.stopped()[0] == 0


def test_each_request_leaves_one_line_of_json(serve: Serve) -> None:
    with serve() as server:
        server.get("/page?token=secret", X_Request_ID="abc-1")
        server.get("/broken", X_Request_ID="abc-2")
        server.process.terminate()
        _, lines, errors = server.stopped()

    page, broken = [line for line in lines if line["request"] != "GET /"]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$", str(page.pop("timestamp")))
    assert 0 < float(str(page.pop("ms"))) < 5000
    assert page == {
        "level": "info",
        "logger": "gunicorn.access",
        "event": "request",
        "request": "GET /page",
        "code": 200,
        "bytes": 4,
        "request_id": "abc-1",
    }
    assert (broken["code"], broken["level"], broken["request_id"]) == (500, "error", "abc-2")
    assert "ValueError: broken on purpose" in errors


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "caf\xe9"])
def test_an_id_that_does_not_belong_into_a_log_is_replaced(serve: Serve, sent: str) -> None:
    with serve() as server:
        seen = server.get("/id", X_Request_ID=sent)[2]
        server.process.terminate()
        lines = server.stopped()[1]

    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", seen)
    # A busy machine may write the line of an earlier request behind this one.
    (line,) = [one for one in lines if one["request"] == "GET /id"]
    assert line["request_id"] == seen, "the application and the log have the same"


@pytest.mark.parametrize(("choice", "expected"), [("-", r'.*"GET / HTTP/1\.1" 200 .*'), ("none", "")])
def test_the_line_of_a_request_is_a_choice(serve: Serve, choice: str, expected: str) -> None:
    with serve(GUNICORN_ACCESS_LOG=choice) as server:
        server.process.terminate()
        output, _ = server.process.communicate(timeout=30)

    assert all(re.fullmatch(expected, line) for line in output.splitlines())
    assert bool(output) == bool(expected)


def test_workers_are_replaced_only_when_told_to(serve: Serve) -> None:
    def workers(**variables: object) -> int:
        with serve(WEB_CONCURRENCY="1", **variables) as server:
            for _ in range(30):
                server.get("/")
            server.process.terminate()
            return server.stopped()[2].count("Booting worker")

    assert workers() == 1
    assert workers(GUNICORN_MAX_REQUESTS="5") > 1


def test_gunicorn_finds_no_fault_in_the_configuration(container: Environment, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APPLICATION)
    line = ["gunicorn", "--check-config", "--config", APP / "gunicorn.conf.py", "--chdir", tmp_path, "shop:application"]

    made = subprocess.run(line, env=container(), capture_output=True, text=True, timeout=30)

    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    wrong = subprocess.run(line, env=container(DRAIN_SECONDS="-1"), capture_output=True, text=True, timeout=30)
    assert (wrong.returncode, wrong.stderr) == (
        1,
        "gunicorn.conf.py: DRAIN_SECONDS is `-1`: set a whole number from 0\n",
    )
