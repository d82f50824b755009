"""Several messages in one request: what is published within `batch()` goes out ten by ten at its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from botocore.exceptions import ClientError
from kombu.exceptions import OperationalError

BATCH = 10
"""The most messages that SQS takes or gives in one request."""
BATCH_BYTES = 256 * 1024
"""What a request may hold in all, by the strictest servers (ElasticMQ; on AWS it is 1 MiB since 2025)."""

_collected: ContextVar[list[tuple[Any, dict[str, Any]]] | None] = ContextVar("fast_sqs_collected", default=None)


class Collector:
    """Stands in for boto3's client while kombu puts a message together, and keeps it for the end of `batch()`."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def send_message(self, **message: Any) -> None:
        messages = _collected.get()
        assert messages is not None
        messages.append((self.client, message))


def collecting() -> bool:
    """Whether this thread (or asyncio task) is within `batch()`."""
    return _collected.get() is not None


@contextmanager
def batch() -> Iterator[None]:
    """Collect what is published in the block, and send it at its end: `with batch(): task.delay(1); task.delay(2)`.

    Messages of one queue keep their order. `delay()` returns before its message is sent: the end of the block is where
    it is in the queue, and where errors are raised. An error within the block sends nothing.

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


def _send(messages: list[tuple[Any, dict[str, Any]]]) -> None:
    queues: dict[str, list[dict[str, Any]]] = defaultdict(list)
    clients = {message["QueueUrl"]: client for client, message in messages}
    for _, message in messages:
        queues[message["QueueUrl"]].append(message)
    refused = []
    for url, entries in queues.items():
        for part in parts(entries):
            if len(part) == 1:
                try:
                    clients[url].send_message(**part[0])
                except ClientError as error:
                    refused.append(f"{url}: {error}")
                continue
            rows = [{"Id": str(i), **{k: v for k, v in m.items() if k != "QueueUrl"}} for i, m in enumerate(part)]
            answer = clients[url].send_message_batch(QueueUrl=url, Entries=rows)
            refused += [f"{url}: {entry['Code']}: {entry.get('Message')}" for entry in answer.get("Failed", [])]
    if refused:
        raise OperationalError(f"{len(refused)} of {len(messages)} messages were not sent: {refused[0]}")


def parts(messages: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Cut into lists of what fits in one request; what is too big by itself comes alone, for SQS to refuse by name."""
    part: list[dict[str, Any]] = []
    total = 0
    for message in messages:
        size = len(message["MessageBody"].encode()) + len(str(message.get("MessageAttributes", "")).encode())
        if part and (len(part) == BATCH or total + size > BATCH_BYTES):
            yield part
            part, total = [], 0
        part.append(message)
        total += size
    if part:
        yield part
