"""custom.conf in the real ElasticMQ: what it must keep, hand out again and set aside."""

import signal
import time
from pathlib import Path

from servers import ACCOUNT, Broker, running, wait_until


def test_queues_are_there_with_their_attributes(elasticmq: list[str], tmp_path: Path) -> None:
    broker = Broker(elasticmq, tmp_path)
    with broker.running():
        attributes = broker.client.get_queue_attributes(QueueUrl=broker.url(), AttributeNames=["All"])["Attributes"]

        assert broker.client.get_queue_url(QueueName="default")["QueueUrl"] == broker.url()
        assert broker.client.get_queue_url(QueueName="default-dead-letters")["QueueUrl"]
        assert attributes["VisibilityTimeout"] == "900"
        assert attributes["ReceiveMessageWaitTimeSeconds"] == "20"
        assert attributes["RedrivePolicy"] == (
            f'{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:{ACCOUNT}:default-dead-letters","maxReceiveCount":5}}'
        )
    assert broker.check().stdout == f"nothing answers HTTP on port {broker.port}\n"


def test_killed_broker_has_lost_nothing(elasticmq: list[str], tmp_path: Path) -> None:
    broker = Broker(elasticmq, tmp_path, ("900 seconds", "5 seconds"))
    with broker.running():
        broker.send("in flight")
        assert broker.receive() == [("in flight", 1)]
        broker.send(*(f"queued {number}" for number in range(9)))
    with broker.running():
        received: list[tuple[str, int]] = []
        wait_until(lambda: len(received) >= 10 or received.extend(broker.receive()) or False, "10 messages come")

        assert sorted(received) == [("in flight", 2), *((f"queued {number}", 1) for number in range(9))]


def test_message_that_fails_five_times_is_set_aside(elasticmq: list[str], tmp_path: Path) -> None:
    broker = Broker(elasticmq, tmp_path, ("900 seconds", "1 seconds"))
    with broker.running():
        broker.send("poison")

        assert [broker.receive(wait=3) for _ in range(5)] == [[("poison", count)] for count in range(1, 6)]
        assert broker.receive(wait=3) == []
        assert [body for body, _ in broker.receive("default-dead-letters")] == ["poison"]


def test_broker_ends_on_sigterm(elasticmq: list[str], tmp_path: Path) -> None:
    with Broker(elasticmq, tmp_path).running() as process:
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=10) == 143
        assert time.monotonic() - started < 5


def test_broker_that_cannot_keep_messages_is_not_healthy(elasticmq: list[str], tmp_path: Path) -> None:
    """Although it answers to GET /health."""
    (tmp_path / "elasticmq.mv.db").mkdir()
    broker = Broker(elasticmq, tmp_path)
    with running(broker.command):
        wait_until(lambda: "nothing answers" not in broker.check().stdout, "ElasticMQ answers", limit=60)
        checked = broker.check()
    assert (checked.returncode, checked.stdout) == (1, "the broker has no queue: its log says why\n")
