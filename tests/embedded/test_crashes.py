"""Whatever is killed, and whenever: the next `up` recovers, no row and no message is lost, and no orphan stays."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
import urllib.request
from collections.abc import Callable

import pexpect
import pytest
from containers.checkout import ok, within
from embedded.conftest import PORTS, Stack

from berth.engines.embedded import leftovers

# One for each kind of crash; BERTH_ROUNDS=20 is the long proof.
ROUNDS = int(os.environ.get("BERTH_ROUNDS", "6"))


def kill_supervisor(stack: Stack) -> None:
    stack.supervisor().kill()


def kill_database(stack: Stack) -> None:
    stack.server("db").kill()


def kill_broker(stack: Stack) -> None:
    stack.server("broker").kill()


def kill_worker(stack: Stack) -> None:
    stack.server("worker-default").kill()


def kill_everything(stack: Stack) -> None:
    for process in [stack.supervisor(), *leftovers.find(stack.state)]:
        process.kill()


def kill_up(stack: Stack) -> None:
    """Kill a `down` and `up` of somebody else on its way."""
    for task in ("down", "up"):
        with subprocess.Popen(
            stack.task(task), cwd=stack.root, env=stack.environment, stderr=subprocess.PIPE
        ) as process:
            time.sleep(random.uniform(0.3, 2.5))
            process.kill()


KILLS: list[Callable[[Stack], None]] = [
    kill_supervisor,
    kill_database,
    kill_broker,
    kill_worker,
    kill_everything,
    kill_up,
]


def sqs(stack: Stack, action: str, **arguments: object) -> dict[str, object]:
    """Ask the broker as boto3 does."""
    request = urllib.request.Request(
        stack.url("/", service="BROKER"),
        json.dumps(
            {"QueueUrl": stack.url("/000000000000/default-dead-letters", service="BROKER"), **arguments}
        ).encode(),
        {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, object] = json.loads(answer.read() or b"{}")
        return found


def messages(stack: Stack) -> int:
    answer = sqs(stack, "GetQueueAttributes", AttributeNames=["ApproximateNumberOfMessages"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])  # type: ignore[index]


def test_rounds_of_kill_and_recover_lose_nothing(stack: Stack) -> None:
    stack.rows("CREATE TABLE survivors (round int)")
    for number in range(1, ROUNDS + 1):
        kill = KILLS[number % len(KILLS)]
        # What was said to be stored is stored, even if the server is killed right afterwards.
        stack.rows(f"INSERT INTO survivors VALUES ({number})")
        sqs(stack, "SendMessage", MessageBody=f"round {number}")
        kill(stack)
        made = stack.inv("up")
        assert made.returncode == 0, f"round {number}, {kill.__name__}:\n{made.stderr}"
        assert stack.get("/status/ready/").status == 200, kill.__name__
        expected = [str(row) for row in range(1, number + 1)]
        assert stack.rows("SELECT round FROM survivors ORDER BY 1") == expected, kill.__name__
        assert messages(stack) == number, kill.__name__


@pytest.mark.parametrize("service", ["db", "broker", "app", "worker-default"])
def test_a_process_that_is_killed_comes_back_by_itself(stack: Stack, service: str) -> None:
    def pids() -> set[int]:
        return {process.pid for process in stack.processes().get(service, [])}

    def healthy() -> bool:
        rows = [row.split() for row in ok(stack.inv("ps")).stdout.splitlines()]
        return [row[1] for row in rows if row[0] == service] == ["healthy"]

    before = pids()
    stack.server(service).kill()
    within(30, lambda: pids() and not pids() & before, f"all processes of {service} are new")
    within(30, healthy, f"{service} is healthy")


def test_what_a_killed_supervisor_leaves_is_named(stack: Stack) -> None:
    stack.supervisor().kill()
    made = ok(stack.inv("ps"))
    assert "there is what a killed supervisor has left: " in made.stderr
    assert made.stderr.endswith(": type `./inv up`, or `down`\n")
    ok(stack.inv("up"))


def test_down_ends_what_a_killed_supervisor_has_left(stack: Stack) -> None:
    stack.supervisor().kill()
    made = ok(stack.inv("down"))
    try:
        assert "ends what a killed supervisor has left: " in made.stderr
        assert stack.processes() == {}
        assert {stack.get("/", service).status for service in PORTS} == {0}
    finally:
        ok(stack.inv("up"))


# What has said its last word is still ending, and would take the key with it.
@pytest.mark.parametrize(("line", "pause"), [("supervisord -c ", 0), ("worker-default: started", 0.5)])
def test_ctrl_c_leaves_a_stack_that_goes_on(stack: Stack, line: str, pause: float) -> None:
    """While it starts its supervisor, and while it waits for services: for a migration that takes its time."""
    ok(stack.inv("down"))
    with stack.edited("docker/app/migrate.sh", "    exec python", "    sleep 5\n    exec python"):
        up = stack.spawn(stack.task("up"))
        up.expect_exact(line)
        time.sleep(pause)
        up.sendintr()
        up.expect(pexpect.EOF)
        up.close()
        assert up.exitstatus == 130
        assert "Traceback" not in up.before
    ok(stack.inv("up"))
