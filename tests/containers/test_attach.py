"""`inv up --attach` on a terminal."""

from __future__ import annotations

import signal
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


@pytest.mark.parametrize(("signum", "code"), [(None, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_attach_shows_all_output_and_ctrl_c_stops_the_services(
    running_afterwards: Stack, signum: signal.Signals | None, code: int
) -> None:
    stack = running_afterwards
    up = stack.spawn(stack.task("up", "--attach"), timeout=60)
    up.expect(r"service +state +address")
    up.expect(r"app-1 .*Starting server")
    if signum:
        up.kill(signum)
    else:
        up.sendintr()
    up.expect(pexpect.EOF)
    up.close()
    assert up.exitstatus == code
    assert "Traceback" not in up.before
    states = ok(stack.compose("ps", "--all", "--format", "{{.Service}} {{.State}}")).stdout.split("\n")
    assert {"app exited", "db exited", "broker exited", "worker-default exited"} <= set(states)
