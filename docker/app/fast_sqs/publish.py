"""Several messages in one request: what is published within `batch()` goes out ten by ten at its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from kombu.exceptions import KombuError, OperationalError

BATCH = 10
"""The most messages that SQS takes or gives in one request."""
LARGEST = 1024 * 1024
"""Bytes that a message, and a request in all, may hold, unless `max_message_bytes` in `broker_transport_options` says
otherwise: the limit of Amazon since 2025, of ElasticMQ 1.7 and of moto."""
ALWAYS = 256 * 1024
"""Bytes that every server takes. A queue on Amazon keeps this limit where it was given it, as by Terraform, so for more
the queue is asked, once."""

_collected: ContextVar[list[tuple[Sender, dict[str, Any]]] | None] = ContextVar("fast_sqs_collected", default=None)


class MessageTooBig(KombuError, ValueError):
    """Raised by `delay()` for a message that the server would refuse; nothing was sent."""


class Sender:
    """Stands in for boto3's client while kombu puts a message together: measures it, and keeps it within `batch()`.

    :param task: name of the task.
    :param limit: bytes that a message, and a request in all, may hold.
    """

    limits: ClassVar[dict[str, int]] = {}
    """What queues have said, by URL."""

    def __init__(self, client: Any, task: str = "", limit: int = LARGEST) -> None:
        self.client, self.task, self.limit = client, task, limit

    def send_message(self, **message: Any) -> None:
        size, limit = size_of(message), self.limit
        if ALWAYS < size <= limit:
            limit = min(limit, self.limit_of(message["QueueUrl"]))
        if size > limit:
            raise MessageTooBig(
                f"not sent: task {self.task or '?'} makes a message of {size:,} bytes, the limit is {limit:,}; pass "
                "what is large by its id, key or path (the limit: max_message_bytes and the queue's MaximumMessageSize)"
            )
        if (messages := _collected.get()) is None:
            self.client.send_message(**message)
        else:
            messages.append((self, message))

    def limit_of(self, url: str) -> int:
        """Return the limit of a queue, if it has one, and lets it be seen."""
        if url not in self.limits:
            try:
                answer = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["MaximumMessageSize"])
            except ClientError:
                answer = {}
            self.limits[url] = int(answer.get("Attributes", {}).get("MaximumMessageSize", LARGEST))
        return self.limits[url]


def size_of(message: dict[str, Any]) -> int:
    """Return what SQS counts: the bytes of the body, and name, type and value of each attribute."""
    size = len(message["MessageBody"].encode())
    for name, attribute in message.get("MessageAttributes", {}).items():
        parts = (name, *attribute.values())
        size += sum(len(part if isinstance(part, bytes) else str(part).encode()) for part in parts)
    return size


def collecting() -> bool:
    """Whether this thread (or asyncio task) is within `batch()`."""
    return _collected.get() is not None


@contextmanager
def batch() -> Iterator[None]:
    """Collect what is published in the block, and send it at its end: `with batch(): task.delay(1); task.delay(2)`.

    Messages of one queue keep their order. `delay()` returns before its message is sent: the end of the block is where
    it is in the queue, and where errors are raised. An error within the block sends nothing; so does a message that is
    too big.

    Raises kombu's OperationalError, which names what SQS refused, with all other messages sent; and what boto3 raises
    for a server that cannot be reached or lets nobody in, with the messages before that sent.
    """
    if collecting():  # The outer block sends.
        yield
        return
    token = _collected.set([])
    try:
        yield
        messages = _collected.get() or []
    finally:
        _collected.reset(token)
    _send(messages)


def _send(messages: list[tuple[Sender, dict[str, Any]]]) -> None:
    queues: dict[str, list[dict[str, Any]]] = defaultdict(list)
    senders = {message["QueueUrl"]: sender for sender, message in messages}
    for _, message in messages:
        queues[message["QueueUrl"]].append(message)
    refused = []
    for url, entries in queues.items():
        client = senders[url].client
        for part in parts(entries, senders[url].limit):
            if len(part) == 1:
                try:
                    client.send_message(**part[0])
                except ClientError as error:
                    refused.append(f"{url}: {error}")
                continue
            rows = [{"Id": str(i), **{k: v for k, v in m.items() if k != "QueueUrl"}} for i, m in enumerate(part)]
            answer = client.send_message_batch(QueueUrl=url, Entries=rows)
            refused += [f"{url}: {entry['Code']}: {entry.get('Message')}" for entry in answer.get("Failed", [])]
    if refused:
        raise OperationalError(f"{len(refused)} of {len(messages)} messages were not sent: {refused[0]}")


def parts(messages: Iterable[dict[str, Any]], limit: int = LARGEST) -> Iterator[list[dict[str, Any]]]:
    """Cut into lists of what fits in one request of *limit* bytes."""
    part: list[dict[str, Any]] = []
    total = 0
    for message in messages:
        size = size_of(message)
        if part and (len(part) == BATCH or total + size > limit):
            yield part
            part, total = [], 0
        part.append(message)
        total += size
    if part:
        yield part
