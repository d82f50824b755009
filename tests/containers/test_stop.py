"""Every container stops by itself, within its grace period."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from containers.checkout import docker, ok, state, within
from containers.conftest import Stack

pytestmark = pytest.mark.containers

GRACE = {"db": 60, "broker": 20, "app": 35, "worker-default": 40}
"""Seconds, `stop_grace_period` of docker-compose.yml."""


@pytest.fixture(scope="module", autouse=True)
def up_again(stack: Stack) -> Iterator[None]:
    """Leave the stack running for the next test."""
    ok(stack.inv("up"))
    yield
    ok(stack.inv("up"))


def stopped(container: str) -> tuple[object, float]:
    """Stop a container; return its exit code and the seconds it took."""
    started = time.monotonic()
    docker("stop", container)
    return state(container)["ExitCode"], time.monotonic() - started


def health(container: str) -> object:
    return docker("inspect", "--format", "{{.State.Health.Status}}", container).stdout.strip()


def test_the_first_process_reaps_orphans(stack: Stack) -> None:
    script = "(sleep 0.2 & exec sleep 0.1) & sleep 1; cat /proc/1/comm; grep -l '^State:.Z' /proc/[0-9]*/status"
    for service in ("app", "worker-default"):
        made = stack.compose("exec", "-T", service, "bash", "-c", script)
        assert made.stdout.split() == ["docker-init"], service


def test_the_server_that_is_shipped_stops_within_ten_seconds(stack: Stack, shipped: Callable[..., str]) -> None:
    container = shipped("start-prod-server.sh")
    check = ["exec", container, "check-http.sh"]
    within(40, lambda: docker(*check, check=False).returncode == 0, "the server is healthy")
    code, seconds = stopped(container)
    assert code in (0, 143)
    assert seconds < 10


def test_the_worker_that_is_shipped_stops_within_ten_seconds(stack: Stack, shipped: Callable[..., str]) -> None:
    container = shipped("start-celery-worker.sh", "default")
    check = ["exec", container, "check-worker.sh"]
    within(40, lambda: docker(*check, check=False).returncode == 0, "the worker is healthy")
    code, seconds = stopped(container)
    assert code in (0, 143)
    assert seconds < 10


def test_a_worker_that_stands_still_is_unhealthy_within_three_intervals_and_healthy_once_it_goes_on(
    stack: Stack,
) -> None:
    container, interval = stack.container("worker-default"), 15
    docker("exec", container, "bash", "-c", "kill -STOP -1")
    try:
        within(3 * interval, lambda: health(container) == "unhealthy", "the worker is unhealthy")
    finally:
        docker("exec", container, "bash", "-c", "kill -CONT -1")
    within(2 * interval, lambda: health(container) == "healthy", "the worker is healthy again")


@pytest.mark.parametrize("service", ["app", "worker-default", "broker", "db"])
def test_a_container_of_the_stack_stops_within_its_grace_period(stack: Stack, service: str) -> None:
    container = stack.container(service)
    assert docker("inspect", "-f", "{{.Config.StopTimeout}}", container).stdout.strip() == str(GRACE[service])
    code, seconds = stopped(container)
    assert code in (0, 143)
    # Idle, so that there is nothing to wait for.
    assert seconds < min(GRACE[service], 15)
