"""`inv up --attach` on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pexpect
import pytest
from containers.checkout import ok
from containers.conftest import Stack

pytestmark = pytest.mark.containers


@pytest.fixture
def running_afterwards(stack: Stack) -> Iterator[Stack]:
    """The shared stack, up again for the tests that follow."""
    yield stack
    ok(stack.inv("up"))


def test_attach_shows_all_output_and_ctrl_c_stops_the_services(running_afterwards: Stack) -> None:
    stack = running_afterwards
    up = stack.spawn(stack.task("up", "--attach"), timeout=60)
    up.expect(r"service +state +address")
    up.expect(r"app-1 .*Starting server")
    up.sendintr()
    up.expect(pexpect.EOF)
    up.close()
    assert up.exitstatus == 0
    assert "Traceback" not in up.before
    states = ok(stack.compose("ps", "--all", "--format", "{{.Service}} {{.State}}")).stdout.split("\n")
    assert {"app exited", "db exited", "broker exited", "worker-default exited"} <= set(states)
