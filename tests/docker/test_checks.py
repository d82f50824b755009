"""The health checks: silent when healthy, else they say why in `docker inspect`."""

import http.server
import os
import resource
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import APP, ROOT, free_port

Environment = Callable[..., dict[str, str]]


ANSWERS = {"/status/ready/": (200, b""), "/up": (200, b"")}


class Handler(http.server.BaseHTTPRequestHandler):
    """What ANSWERS says, to a client that names localhost, /host for shop.example; else 503 with a long body."""

    def do_GET(self) -> None:
        otherwise = (503, b'{"database": "down"}' + b"." * 1000)
        status, body = ANSWERS.get(self.path, otherwise) if self.headers["Host"] == "localhost" else otherwise
        if self.path == "/host" and self.headers["Host"] == "shop.example":
            status, body = 200, b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server with Handler."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def check(script: Path, **variables: object) -> tuple[int, str, str]:
    """Return the exit code and the output of a health check."""
    environment = {"PATH": "/usr/bin:/bin", **{name: str(value) for name, value in variables.items()}}
    result = subprocess.run(["bash", script], env=environment, capture_output=True, text=True, timeout=10)
    return result.returncode, result.stdout, result.stderr


HTTP = APP / "check-http.sh"
BROKER = ROOT / "docker/broker/check-broker.sh"
WORKER = APP / "check-worker.sh"


def test_app_is_healthy_when_its_path_answers_200(port: int) -> None:
    assert check(HTTP, HEALTH_PORT=port) == (0, "", "")
    assert check(HTTP, HEALTH_PORT=port, HEALTH_PATH="/up") == (0, "", "")


def test_app_is_asked_by_the_host_name_that_it_allows(port: int) -> None:
    assert check(HTTP, HEALTH_PORT=port, HEALTH_PATH="/host", HEALTH_HOST="shop.example") == (0, "", "")
    assert check(HTTP, HEALTH_PORT=port, HEALTH_PATH="/host")[0] == 1


def test_app_that_is_not_ready_shows_the_beginning_of_its_answer(port: int) -> None:
    status, output, errors = check(HTTP, HEALTH_PORT=port, HEALTH_PATH="/broken")

    assert (status, errors) == (1, "")
    assert output == (
        "GET /broken: HTTP/1.0 503 Service Unavailable\n" + ('{"database": "down"}' + "." * 1000)[:500] + "\n"
    )


@pytest.mark.parametrize("script", [HTTP, BROKER])
def test_closed_port_is_reported(script: Path) -> None:
    port = free_port()

    assert check(script, HEALTH_PORT=port) == (1, f"nothing answers HTTP on port {port}\n", "")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (HTTP, "no whole answer to GET /status/ready/ within 3 s\n"),
        (BROKER, "no answer to ListQueues within 3 s\n"),
    ],
)
def test_server_that_hangs_is_reported_after_3_seconds(script: Path, message: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()

        assert check(script, HEALTH_PORT=listener.getsockname()[1]) == (1, message, "")
        assert 3 <= time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ((200, b"<ListQueuesResult><QueueUrl>http://x/default</QueueUrl></ListQueuesResult>"), (0, "", "")),
        ((200, b"<ListQueuesResult></ListQueuesResult>"), (1, "the broker has no queue: its log says why\n", "")),
        ((503, b"<QueueUrl>"), (1, "ListQueues: HTTP/1.0 503 Service Unavailable\n", "")),
    ],
)
def test_broker_is_healthy_when_it_has_a_queue(
    monkeypatch: pytest.MonkeyPatch, port: int, answer: tuple[int, bytes], result: tuple[int, str, str]
) -> None:
    monkeypatch.setitem(ANSWERS, "/?Action=ListQueues&Version=2012-11-05", answer)
    assert check(BROKER, HEALTH_PORT=port) == result


@pytest.mark.parametrize("age", [0, 8])
def test_worker_with_a_young_heartbeat_is_healthy(tmp_path: Path, age: int) -> None:
    heartbeat = tmp_path / "heart beat"
    heartbeat.touch()
    os.utime(heartbeat, (time.time() - age,) * 2)

    assert check(WORKER, WORKER_HEARTBEAT_FILE=heartbeat) == (0, "", "")


def test_check_of_a_worker_costs_less_than_20_ms_of_a_processor(tmp_path: Path) -> None:
    heartbeat = tmp_path / "heartbeat"
    costs = []
    for _ in range(5):
        heartbeat.touch()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert check(WORKER, WORKER_HEARTBEAT_FILE=heartbeat)[0] == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)

    assert min(costs) < 0.02, costs


def test_worker_that_no_longer_stirs_is_reported(tmp_path: Path) -> None:
    heartbeat = tmp_path / "heartbeat"
    heartbeat.touch()
    os.utime(heartbeat, (int(time.time()) - 3600,) * 2)

    status, output, errors = check(WORKER, WORKER_HEARTBEAT_FILE=heartbeat)

    assert (status, errors) == (1, "")
    assert output in {
        f"no heartbeat for {age} s: the main loop of the worker hangs ({heartbeat})\n" for age in (3600, 3601)
    }


def test_worker_that_is_not_ready_is_reported(tmp_path: Path) -> None:
    heartbeat = tmp_path / "missing"

    assert check(WORKER, WORKER_HEARTBEAT_FILE=heartbeat) == (
        1,
        f"no heartbeat: {heartbeat} does not exist, so the worker is not ready yet\n",
        "",
    )
