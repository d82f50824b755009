"""Where the jars of ElasticMQ cannot be had, moto is the broker, and no command throws its messages away unasked."""

from __future__ import annotations

import json
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from typing import Any

import pexpect
import pytest
from containers.checkout import checkout, ok, within
from embedded.conftest import Stack, embedded
from embedded.test_parity import EXPORT

NOTICE = (
    "the broker is moto, as ElasticMQ could not be fetched when .berth/embedded/servers was made: queued messages live "
    "in memory only; `rm -r .berth/embedded/servers` while nothing runs lets `up` fetch it again\n"
)


@pytest.fixture(scope="module")
def first() -> Iterator[tuple[Stack, str]]:
    """A clean copy after `inv up` where neither Maven Central nor a cache can be had, and what `up` said."""
    with checkout() as made:
        found = embedded(made)
        nowhere = found.root.parent / "jgo.conf"
        # Port 9 is of the service `discard`, which nobody runs.
        nowhere.write_text("[repositories]\ncentral = http://127.0.0.1:9/\n")
        nowhere.chmod(0o644)
        found.environment |= {"JGO_CONFIG_FILE": str(nowhere), "M2_REPO": str(found.root.parent / "m2")}
        try:
            yield found, ok(found.inv("up")).stderr
        finally:
            found.inv("down", "--yes")
            found.end()


@pytest.fixture
def stack(first: tuple[Stack, str]) -> Iterator[Stack]:
    """That copy, up and without a message."""
    found, _ = first
    ok(found.inv("up"))
    yield found
    # SQS purges a queue once a minute only.
    ok(found.inv("stop", "broker", "--yes"))


def url(stack: Stack, queue: str) -> str:
    return stack.url(f"/000000000000/{queue}", service="BROKER")


def sqs(stack: Stack, action: str, **parameters: object) -> dict[str, Any]:
    """Ask the broker as boto3 does."""
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
    request = urllib.request.Request(stack.url("/", service="BROKER"), json.dumps(parameters).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read() or b"{}")
        return found


def send(stack: Stack, *bodies: str) -> None:
    """Leave messages where no worker takes them."""
    for body in bodies:
        sqs(stack, "SendMessage", QueueUrl=url(stack, "default-dead-letters"), MessageBody=body)


def refusal(number: int, line: str) -> str:
    return f"{queued(number)}: type `./inv {line} --yes` to throw that away"


def queued(number: int) -> str:
    are = "message is" if number == 1 else "messages are"
    return f"{number} {are} queued in broker, in memory only"


def test_up_says_that_messages_live_in_memory_only_and_why(first: tuple[Stack, str]) -> None:
    stack, said = first
    assert said.endswith(NOTICE)
    assert (
        "install-broker.sh: the broker comes from Maven Central, or a repository that ~/.config/jgo.conf names below "
        "[repositories]; as none can be reached, moto takes its place, and keeps messages in memory only\n"
    ) in said
    again = ok(stack.inv("up")).stderr
    assert again.endswith(NOTICE)
    assert "installing" not in again


def test_queues_are_those_of_elasticmq(stack: Stack) -> None:
    assert sqs(stack, "ListQueues")["QueueUrls"] == [url(stack, "default-dead-letters"), url(stack, "default")]
    found = sqs(stack, "GetQueueAttributes", QueueUrl=url(stack, "default"), AttributeNames=["All"])["Attributes"]
    assert {name: found[name] for name in ("VisibilityTimeout", "DelaySeconds", "ReceiveMessageWaitTimeSeconds")} == {
        "VisibilityTimeout": "900",
        "DelaySeconds": "0",
        "ReceiveMessageWaitTimeSeconds": "20",
    }
    assert json.loads(found["RedrivePolicy"]) == {
        "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:default-dead-letters",
        "maxReceiveCount": 5,
    }


def test_a_task_goes_through_the_queue_into_the_worker(stack: Stack) -> None:
    assert stack.get("/status/ready/").status == 200
    said = ok(stack.inv("manage", "shell", stdin=EXPORT)).stdout
    number = int(said.split()[said.split().index("exporting") + 1])
    status = f"SELECT status FROM users_userexport WHERE id = {number}"
    within(30, lambda: stack.rows(status) == ["finished"], "the export is finished")


def test_a_worker_of_another_region_finds_the_queues(stack: Stack) -> None:
    stack.set(AWS_REGION="eu-central-1")
    try:
        ok(stack.inv("up"))
        test_a_task_goes_through_the_queue_into_the_worker(stack)
    finally:
        stack.set(AWS_REGION="us-east-1")
        ok(stack.inv("up"))


def test_the_page_and_the_tasks_of_the_queues_know_moto(stack: Stack) -> None:
    ok(stack.inv("stop", "worker-default"))
    send(stack, "one", "two")
    totals = {queue["name"]: queue["total"] for queue in json.loads(ok(stack.inv("queue", "--json")).stdout)}
    assert totals == {"default": 0, "default-dead-letters": 2}
    found = json.loads(ok(stack.inv("queue.peek", "default-dead-letters", "--json")).stdout)
    assert [(message["task"], message["text"]) for message in found] == [(None, "one"), (None, "two")]
    ok(stack.inv("queue.redrive", "default-dead-letters", found[0]["id"]))
    within(10, lambda: json.loads(stack.get("/api/queues", "QUEUES").body)["queues"][0]["visible"] == 1, "it is back")
    ok(stack.inv("queue.check"))
    assert ok(stack.inv("queue.purge", "default", "--yes")).stdout == "`default` is empty now: 1 deleted\n"


@pytest.mark.parametrize("words", [["stop"], ["stop", "app", "broker"], ["restart"], ["restart", "broker"], ["down"]])
def test_queued_messages_are_not_thrown_away(stack: Stack, words: list[str]) -> None:
    before = {service: stack.server(service).pid for service in ("app", "broker", "db", "worker-default")}
    send(stack, "one", "two")
    made = stack.inv(*words)
    assert (made.returncode, made.stdout) == (1, "")
    assert made.stderr.splitlines()[1:] == [refusal(2, " ".join(words))]
    assert {service: stack.server(service).pid for service in before} == before
    assert stack.get("/status/ready/").status == 200


def test_messages_in_flight_and_delayed_ones_count(stack: Stack) -> None:
    queue = url(stack, "default-dead-letters")
    send(stack, "in flight")
    sqs(stack, "ReceiveMessage", QueueUrl=queue)
    assert stack.inv("stop").stderr.splitlines()[1:] == [refusal(1, "stop")]
    sqs(stack, "SendMessage", QueueUrl=queue, MessageBody="delayed", DelaySeconds=900)
    assert stack.inv("stop").stderr.splitlines()[1:] == [refusal(2, "stop")]


@pytest.mark.parametrize("words", [["stop"], ["restart", "broker"], ["down"]])
def test_yes_throws_them_away(stack: Stack, words: list[str]) -> None:
    send(stack, "one")
    ok(stack.inv(*words, "--yes"))
    ok(stack.inv("up"))
    assert ok(stack.inv("stop", "broker")).returncode == 0


def test_what_keeps_the_broker_running_needs_no_yes(stack: Stack) -> None:
    send(stack, "one")
    broker = stack.server("broker").pid
    ok(stack.inv("restart", "app", "worker-default"))
    ok(stack.inv("stop", "worker-default"))
    ok(stack.inv("reset-db", "--yes"))
    assert stack.server("broker").pid == broker
    assert stack.inv("stop").stderr.splitlines()[1:] == [refusal(1, "stop")]


def test_an_up_that_would_restart_the_broker_is_refused(stack: Stack) -> None:
    send(stack, "one")
    path = stack.root / "docker" / "docker-compose.yml"
    text = path.read_text()
    try:
        path.write_text(text.replace("    environment: {}\n    volumes:\n", "    environment: {A: b}\n    volumes:\n"))
        assert path.read_text() != text
        made = stack.inv("up")
        assert made.returncode == 1
        assert made.stderr.splitlines()[-1] == refusal(1, "stop broker")
    finally:
        path.write_text(text)


def test_ctrl_c_of_an_attached_up_leaves_the_broker_running(stack: Stack) -> None:
    send(stack, "one")
    broker = stack.server("broker").pid
    up = stack.spawn(stack.task("up", "--attach"))
    up.expect(r"service +state +address")
    up.expect("Starting server")
    up.sendintr()
    up.expect(pexpect.EOF)
    up.close()
    assert up.exitstatus == 130
    message = f"{queued(1)}: it goes on running; type `./inv stop broker --yes` to throw that away"
    assert up.before.splitlines()[-1] == message
    assert {service: processes[0].pid for service, processes in stack.processes().items()} == {"broker": broker}


def test_ctrl_c_of_an_attached_up_stops_a_broker_without_messages(stack: Stack) -> None:
    up = stack.spawn(stack.task("up", "--attach"))
    up.expect(r"service +state +address")
    up.expect_exact("==> ")
    up.sendintr()
    up.expect(pexpect.EOF)
    assert stack.processes() == {}


def test_what_dies_with_a_killed_supervisor_is_named(stack: Stack) -> None:
    send(stack, "one")
    stack.supervisor().kill()
    made = stack.inv("down")
    assert made.stderr.splitlines()[1:] == [refusal(1, "down")]
    assert f"\n{queued(1)}: with it goes what is queued\n" in ok(stack.inv("up")).stderr


def test_a_broker_that_hangs_is_not_taken_for_an_empty_one(stack: Stack) -> None:
    server = stack.server("broker")
    server.send_signal(signal.SIGSTOP)
    try:
        made = stack.inv("stop", "broker")
        assert made.returncode == 1
        assert made.stderr.splitlines()[-1] == (
            "broker does not say how many messages are queued, in memory only: "
            "type `./inv stop broker --yes` to throw that away"
        )
    finally:
        server.send_signal(signal.SIGCONT)


def test_elasticmq_comes_back_as_the_notice_says(stack: Stack) -> None:
    ok(stack.inv("down"))
    shutil.rmtree(stack.state / "servers")
    for name in ("JGO_CONFIG_FILE", "M2_REPO"):
        del stack.environment[name]
    assert "moto" not in ok(stack.inv("up")).stderr
    assert "ElasticMQ server (1.7.1) started" in ok(stack.inv("logs", "broker")).stdout
    send(stack, "one")
    assert stack.get("/status/ready/").status == 200
    # It keeps its messages.
    ok(stack.inv("down"))
    ok(stack.inv("up"))
    attributes = sqs(
        stack,
        "GetQueueAttributes",
        QueueUrl=url(stack, "default-dead-letters"),
        AttributeNames=["ApproximateNumberOfMessages"],
    )["Attributes"]
    assert attributes == {"ApproximateNumberOfMessages": "1"}
