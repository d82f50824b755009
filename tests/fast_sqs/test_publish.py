"""What `batch()` sends, and what is reported when it cannot."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from sqs_shop import Shop

pytest.importorskip("boto3")

from fast_sqs import publish
from kombu.exceptions import OperationalError

Make = Callable[..., Shop]
URL = "http://broker/000000000000/shop"


class Client:
    """Takes down the requests; refuses messages whose body is `bad`."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []

    def send_message(self, **message: Any) -> None:
        self.requests.append([message["MessageBody"]])

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert [entry["Id"] for entry in Entries] == [str(number) for number in range(len(Entries))]
        self.requests.append([entry["MessageBody"] for entry in Entries])
        bad = [entry for entry in Entries if entry["MessageBody"] == "bad"]
        return {"Failed": [{"Id": entry["Id"], "Code": "Invalid", "Message": "not so"} for entry in bad]}


def send(client: Client, *bodies: str) -> None:
    for body in bodies:
        publish.Sender(client).send_message(QueueUrl=URL, MessageBody=body)


def test_batch_sends_ten_in_a_request_in_their_order_at_its_end() -> None:
    client, bodies = Client(), [str(number) for number in range(23)]
    with publish.batch():
        send(client, *bodies)
        assert client.requests == []

    assert client.requests == [bodies[:10], bodies[10:20], bodies[20:]]


def test_batch_within_a_batch_is_sent_by_the_outer_one() -> None:
    client = Client()
    with publish.batch():
        with publish.batch():
            send(client, "a")
        send(client, "b")

    assert client.requests == [["a", "b"]]


def test_error_within_the_block_sends_nothing_and_passes() -> None:
    client = Client()
    with pytest.raises(KeyError), publish.batch():
        send(client, "a")
        raise KeyError

    assert client.requests == []
    assert not publish.collecting()


def test_refused_message_is_named_and_the_others_are_sent() -> None:
    client = Client()
    with pytest.raises(OperationalError) as raised, publish.batch():
        send(client, "a", "bad", *"bcdefghijkl")

    assert str(raised.value) == f"1 of 13 messages were not sent: {URL}: Invalid: not so"
    assert sum(map(len, client.requests)) == 13


def test_request_stays_below_the_size_that_servers_take() -> None:
    third = "x" * (publish.LARGEST // 3)
    bodies = [third] * 4 + [third * 3, "small"]
    sizes = [len(part) for part in publish.parts({"MessageBody": body} for body in bodies)]

    assert sizes == [3, 1, 1, 1]


def test_request_holds_more_where_the_server_takes_more() -> None:
    third = "x" * (publish.LARGEST // 3)
    sizes = [len(part) for part in publish.parts(({"MessageBody": third} for _ in range(12)), 4 * publish.LARGEST)]

    assert sizes == [10, 2]


def test_size_is_that_of_body_and_attributes_in_bytes() -> None:
    attributes = {
        "né": {"DataType": "Binary", "BinaryValue": b"1234"},
        "to": {"DataType": "String", "StringValue": "ü"},
    }

    assert publish.size_of({"MessageBody": "aé", "MessageAttributes": attributes}) == 3 + (3 + 6 + 4) + (2 + 6 + 2)


def test_message_of_the_limit_is_sent_and_one_byte_more_is_not() -> None:
    client = Client()
    sender = publish.Sender(client, "users.tasks.export", limit=262_144)
    sender.send_message(QueueUrl=URL, MessageBody="x" * 262_144)
    with pytest.raises(publish.MessageTooBig) as raised:
        sender.send_message(QueueUrl=URL, MessageBody="x" * 262_145)

    assert len(client.requests) == 1
    assert str(raised.value) == (
        "not sent: task users.tasks.export makes a message of 262,145 bytes, the limit is 262,144; pass what is large "
        "by its id, key or path (the limit: max_message_bytes and the queue's MaximumMessageSize)"
    )


def python(shop: Shop, source: str) -> subprocess.CompletedProcess[str]:
    program = f"import fast_sqs\nfrom shop import app, note\n{source}"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=shop.folder, env=shop.environment, capture_output=True, text=True, timeout=60)


def test_messages_of_a_batch_are_the_messages_of_single_sends(shop: Make) -> None:
    made = shop()
    made.publish("note.delay('batched 1'); note.delay('batched 2')")
    assert python(made, "note.delay('single')").returncode == 0
    messages = []
    while len(messages) < 3:
        messages += made.sqs.receive_message(QueueUrl=made.url, MaxNumberOfMessages=10)["Messages"]
    keys = [sorted(json.loads(base64.b64decode(message["Body"]))) for message in messages]
    assert keys[0] == keys[1] == keys[2]


@pytest.mark.parametrize("block", ["", "with fast_sqs.batch(): note.delay('small'); "])
def test_message_that_is_too_big_is_one_clear_line_and_nothing_is_sent(shop: Make, block: str) -> None:
    made = shop()
    sent = python(made, f"{block}note.delay('x' * 1_000_000)")

    assert sent.returncode == 1
    last = sent.stderr.strip().splitlines()[-1]
    assert "MessageTooBig: not sent: task note makes a message of" in last, last
    assert "the limit is 1,048,576; pass" in last, last
    assert made.counts() == (0, 0)


def test_message_of_just_the_limit_is_taken_by_the_server(shop: Make) -> None:
    """Base64 makes a message larger than its arguments, so the largest one is found by trying."""
    made = shop()
    source = """
import fast_sqs.publish as publish
low, high = 0, publish.LARGEST
while high - low > 1:
    middle = (low + high) // 2
    try:
        with publish.batch():
            note.delay("x" * middle)
            publish._collected.get().clear()
        low = middle
    except fast_sqs.MessageTooBig:
        high = middle
note.delay("x" * low)
"""
    sent = python(made, source)

    assert sent.returncode == 0, sent.stderr
    (message,) = made.sqs.receive_message(QueueUrl=made.url, WaitTimeSeconds=5)["Messages"]
    assert publish.LARGEST - 8 < len(message["Body"]) <= publish.LARGEST


SETTING = "app.conf.broker_transport_options['max_message_bytes'] = 262_144; "


@pytest.mark.parametrize("setting", [SETTING, ""])
def test_lower_limit_is_that_of_the_setting_or_of_the_queue(shop: Make, setting: str) -> None:
    """ElasticMQ has no MaximumMessageSize."""
    made = shop()
    if not setting:
        made.sqs.set_queue_attributes(QueueUrl=made.url, Attributes={"MaximumMessageSize": "262144"})
    sent = python(made, f"{setting}note.delay('x' * 262_144)")

    if setting or not made.broker.keeps:
        assert "the limit is 262,144; pass" in sent.stderr.strip().splitlines()[-1]
        assert made.counts() == (0, 0)
    else:
        assert sent.returncode == 0, sent.stderr
        assert made.counts() == (1, 0)


def test_endpoint_that_refuses_is_an_error_of_the_caller(shop: Make) -> None:
    made = shop()
    made.environment["BROKER_URL"] = "sqs://x:x@127.0.0.1:9"
    sent = python(made, "note.delay('nowhere')")

    assert sent.returncode == 1
    assert "Could not connect to the endpoint URL" in sent.stderr.strip().splitlines()[-1]
