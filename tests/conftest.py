"""What more than one folder of tests needs."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

# A shell's `&` and nohup have us ignore these, and so would what the tests start and interrupt.
for number, handler in {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}.items():
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)

BASE_IMAGES = ("local/python:3.13", "local/postgres:18", "local/elasticmq:1.7.1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put Swarm last: an engine that has left one resolves no more names in the networks that it had before."""
    items.sort(key=lambda item: item.path.name == "test_swarm.py")


@pytest.fixture(scope="session")
def engine() -> None:
    """Skip without an engine and the base images; BERTH_REQUIRE_ENGINE=1 makes that a failure."""
    try:
        made = subprocess.run(
            ["docker", "image", "inspect", *BASE_IMAGES], capture_output=True, text=True, check=False, timeout=30
        )
        lacking = made.stderr.strip()
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        lacking = str(error)
    if lacking and os.environ.get("BERTH_REQUIRE_ENGINE") == "1":
        pytest.fail(f"BERTH_REQUIRE_ENGINE=1, and: {lacking}; type `./inv images.base`")
    if lacking:
        pytest.skip(f"no engine, or no base images: {lacking}")
