"""What is asked of the server, and when, by a channel whose loop and requests are taken down."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("boto3")

from fast_sqs import transport
from kombu import Connection

URL = "http://broker/000000000000/shop"


class Loop:
    """Keeps what is to be called later."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def call_soon(self, callback: Any, *arguments: Any) -> None:
        self.calls.append(lambda: callback(*arguments))

    def call_later(self, seconds: float, callback: Any, *arguments: Any) -> Loop:
        self.calls.append(lambda: callback(*arguments))
        return self

    def cancel(self) -> None:
        """A timer."""

    def run(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class Channel(transport.Channel):
    """Has no server; notes operation and parameters of each request."""

    def _request(self, operation: str, queue: str, url: str, values: Any, done: Any) -> None:
        self.requests.append((operation, values, done))

    def _ask_visibility(self, queue: str) -> int:
        return 30

    def asynsqs(self, queue: str | None = None) -> Any:
        return SimpleNamespace(_httpclient=None)


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Channel:
    """A channel that consumes the queue `shop`, with two processes and at most 32 messages."""
    monkeypatch.setattr(transport.Transport, "Channel", Channel)
    options = {"region": "us-east-1", "predefined_queues": {"shop": {"url": URL}}, "wait_time_seconds": 1}
    made = Connection("sqs://x:x@broker", transport=transport.Transport, transport_options=options).channel()
    made.hub, made.requests, made.got = Loop(), [], []
    made.hub.call_repeatedly = made.hub.call_later
    made.basic_qos(0, 32)
    made.basic_consume("shop", False, lambda message: made.got.append(message.delivery_tag), "tag")
    made.hub.calls.clear()
    made.least = made.window = 2
    made._schedule_queue("shop")
    return made


def receive(channel: Channel, *handles: str, receives: int = 1) -> None:
    """Answer the poll under way."""
    operation, values, done = channel.requests.pop()
    assert operation == transport.RECEIVE
    assert len(handles) <= values["MaxNumberOfMessages"]
    attributes = {"ApproximateReceiveCount": str(receives)}
    done({"Messages": [{"ReceiptHandle": handle, "Body": "e30=", "Attributes": attributes} for handle in handles]})


def operations(channel: Channel) -> list[tuple[str, int]]:
    """The requests since the last look: what, and how many messages."""
    requests, channel.requests = channel.requests, []
    return [(name, values.get("MaxNumberOfMessages") or len(values["Entries"])) for name, values, _ in requests]


def test_first_poll_asks_for_as_many_messages_as_there_are_processes(channel: Channel) -> None:
    assert operations(channel) == [(transport.RECEIVE, 2)]


def test_no_poll_while_all_processes_are_busy_and_one_at_the_first_that_is_free(channel: Channel) -> None:
    receive(channel, "a", "b")
    assert operations(channel) == []

    channel.held["a"].received -= 5
    channel.basic_ack("a")
    channel.hub.run()

    assert (transport.RECEIVE, 1) in operations(channel)


def test_window_grows_with_quick_tasks_and_falls_back_at_a_long_one(channel: Channel) -> None:
    receive(channel, "a", "b")
    channel.basic_ack("a")
    assert channel.window == 3

    channel.held["b"].received -= 5
    channel.basic_ack("b")
    assert channel.window == 2


def test_ten_acknowledgements_are_one_request_and_fewer_are_sent_after_a_moment(channel: Channel) -> None:
    channel.window = 32
    channel.requests.clear()
    channel._receiving.clear()
    channel._schedule_queue("shop")
    receive(channel, *"abcdefghij")
    operations(channel)
    for tag in "abcdefghij":
        channel.basic_ack(tag)
    assert operations(channel) == [(transport.DELETE, 10)]

    receive_again(channel, "k")
    channel.basic_ack("k")
    assert (transport.DELETE, 1) not in operations(channel)
    channel.hub.run()
    assert (transport.DELETE, 1) in operations(channel)


def receive_again(channel: Channel, handle: str) -> None:
    """Let a message come by the poll that is under way."""
    answer = {"Messages": [{"ReceiptHandle": handle, "Body": "e30=", "Attributes": {}}]}
    channel._on_received("shop", URL, answer)


@pytest.mark.parametrize("answer", [None, {"Failed": [{"Id": "0"}]}])
def test_delete_that_fails_is_sent_again_until_the_message_is_visible(channel: Channel, answer: Any) -> None:
    receive(channel, "a", "b")
    channel.basic_ack("a")
    channel.hub.run()
    done = next(done for name, _, done in channel.requests if name == transport.DELETE)
    operations(channel)
    done(answer)
    channel.hub.run()
    assert (transport.DELETE, 1) in operations(channel)

    channel._acked["a"].until = time.monotonic()
    done(answer)
    channel.hub.run()
    assert channel._acked == {} and (transport.DELETE, 1) not in operations(channel)


def test_what_is_held_is_extended_in_its_second_half_and_no_longer_than_sqs_lets(channel: Channel) -> None:
    receive(channel, "a", "b")
    channel.extend()
    assert operations(channel) == []

    channel.held["a"].until -= 16
    channel.held["b"].until -= 16
    channel.held["b"].received -= transport.LONGEST
    channel.extend()
    (name, values, done) = channel.requests[0]
    assert (name, values) == (
        transport.EXTEND,
        {"Entries": [{"Id": "0", "ReceiptHandle": "a", "VisibilityTimeout": 30}]},
    )
    done({"Successful": [{"Id": "0"}]})
    channel.requests.clear()
    channel.extend()
    assert operations(channel) == []


def test_message_given_back_is_visible_at_once_and_not_asked_for_again(channel: Channel) -> None:
    receive(channel, "a", "b")
    channel.window = 20
    channel.give_back(["b"])

    assert operations(channel)[0] == (transport.EXTEND, 1)
    assert list(channel.held) == ["a"] and channel.window == 2
