"""`docker stop` of the image that is shipped, while clients are at it: no request is lost."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable

import pytest
from clients import CLIENTS, load
from containers.checkout import docker, get, state, within

pytestmark = pytest.mark.containers

ROUNDS = int(os.environ.get("BERTH_STOP_ROUNDS", "3"))
"""How often; `BERTH_STOP_ROUNDS=20` was run once, for the figures of benchmarks/."""
END = b'{"status": "ok"}\r\n0\r\n\r\n'
"""What `/status/` answers, which asks nobody; in one chunk."""

Shipped = Callable[..., str]


def ready(container: str) -> bool:
    return docker("exec", container, "check-http.sh", check=False).returncode == 0


def test_docker_stop_loses_no_request_of_clients_that_look_at_nothing(shipped: Shipped) -> None:
    container = shipped("start-prod-server.sh", WEB_CONCURRENCY="2", DRAIN_SECONDS="1")
    for _ in range(ROUNDS):
        docker("start", container)
        within(40, lambda: ready(container), "the server is ready")
        networks = json.loads(docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", container).stdout)
        (address,) = [network["IPAddress"] for network in networks.values()]
        with load((address, 8000), "/status/", END) as asked:
            docker("stop", container)

        assert state(container)["ExitCode"] == 0
        assert (asked.counts["lost"], dict(asked.problems)) == (0, {})
        assert asked.counts["refused"] == CLIENTS
        assert asked.counts["answered"] > CLIENTS


def test_docker_stop_fails_the_health_check_first_and_whoever_heeds_it_loses_nothing(shipped: Shipped) -> None:
    """As a balancer does, by way of a published port, where the engine's own proxy takes connections until the end."""
    options = ("--publish", "127.0.0.1::8000", "--stop-timeout", "30")
    container = shipped("start-prod-server.sh", options=options, WEB_CONCURRENCY="2", DRAIN_SECONDS="3")
    within(40, lambda: ready(container), "the server is ready")
    host, port = docker("port", container, "8000").stdout.strip().split(":")
    url = f"http://{host}:{port}/status/ready/"
    with load((host, int(port)), "/status/", END) as asked:
        started = time.monotonic()
        with subprocess.Popen(["docker", "stop", container], stdout=subprocess.DEVNULL) as stop:
            within(2, lambda: get(url).status == 503, "the server drains")
            check = docker("exec", container, "check-http.sh", check=False)
            # Two more looks of a balancer that looks twice a second.
            time.sleep(1)
            asked.over.set()
            assert stop.wait(30) == 0

    said = "GET /status/ready/: HTTP/1.0 503 Service Unavailable\ndraining\n"
    assert (check.returncode, check.stdout) == (1, said)
    assert state(container)["ExitCode"] == 0
    assert 3 <= time.monotonic() - started < 10
    assert dict(asked.counts) == {"answered": asked.counts["answered"]}, asked.problems
