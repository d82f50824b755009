"""Look at messages, and move them between queues. Only `purge` loses any."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from berth_queues.messages import decode
from berth_queues.settings import Trouble
from berth_queues.sqs import Queue, Server

HOLD_S = 30
"""Seconds for which messages are hidden while they are looked at or moved; a killed process gives them back then."""
BATCH = 10
"""The most messages that SQS takes or gives in one request."""


def peek(server: Server, queue: Queue, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Return up to ``limit`` messages that wait, as boto3 gives them, and how many of them had to be sent anew.

    SQS can only show a message by delivering it. So each look counts as a delivery, which the caller has to say
    where deliveries are limited. A message that would be a dead letter at its next delivery because of this look is
    sent anew, which sets its count back; it is there twice, never not at all, when that is interrupted.

    :raises Trouble: the server refuses, or the queue is a FIFO one with such a limit: a message sent anew there
        would lose its place.
    """
    if queue.fifo and queue.max_receives:
        raise Trouble(
            f"`{queue.name}` is a FIFO queue with dead letters: a look would count as a delivery, and could not be "
            "made good without changing the order"
        )
    anew = 0
    with _held(server, queue) as receive:
        seen = list(receive(limit))
        for message in seen:
            if queue.max_receives and count(message) >= queue.max_receives:
                _copy(server, message, queue)
                _delete(server, queue, message)
                message["gone"] = True
                anew += 1
    return sorted(seen, key=lambda message: message["Attributes"].get("SentTimestamp", "")), anew


def redrive(
    server: Server,
    queue: Queue,
    ids: Sequence[str] = (),
    *,
    to: str | None = None,
    rate: float = 0,
    told: Callable[[dict[str, Any], Queue], None] = lambda message, target: None,
) -> int:
    """Send dead letters back to where they came from; return how many.

    Each is sent first and deleted then, so an interruption doubles one at most, and loses none.

    :param ids: those of SQS or of Celery's tasks; none: all that there are.
    :param to: name of the queue to send to; None: the one that they came from.
    :param rate: messages a second; 0: as many as it takes.
    :param told: is told of each message.
    :raises Trouble: an id is not there, or it is not known where to send to.
    """
    queues = server.queues()
    left, moved = set(ids), 0
    # One at a time where it takes long: what is hidden for longer than HOLD_S comes back, and would be doubled.
    with _held(server, queue, batch=1 if rate else BATCH) as receive:
        # What comes in meanwhile, such as what fails again at once, is not for this round.
        for message in receive(queue.visible):
            known = {message["MessageId"], decode(message).get("task_id")} & left
            if ids and not known:
                continue
            target = _destination(queue, message, queues, to)
            _copy(server, message, target)
            _delete(server, queue, message)
            message["gone"] = True
            moved += 1
            left -= known
            told(message, target)
            if ids and not left:
                break
            if rate:
                time.sleep(1 / rate)
    if left:
        raise Trouble(f"not among the messages that wait in `{queue.name}`: {', '.join(sorted(left))}")
    return moved


def purge(server: Server, queue: Queue) -> int:
    """Delete all messages of a queue, those in flight and delayed ones, too; return how many may come back.

    ElasticMQ 1.7.1 empties its memory and not its storage: what it purged is there again after a restart. So on a
    server of one's own messages are deleted one by one, which it keeps. Those that are hidden cannot be.
    """
    if not server.settings.endpoint:
        server.ask("purge_queue", QueueUrl=queue.url)
        return 0
    left = queue.visible
    while left > 0:
        found = _receive(server, queue, BATCH)
        if not found:
            break
        entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(found)]
        server.ask("delete_message_batch", QueueUrl=queue.url, Entries=entries)
        left -= len(found)
    server.ask("purge_queue", QueueUrl=queue.url)
    return queue.in_flight + queue.delayed


def _destination(queue: Queue, message: Mapping[str, Any], queues: Sequence[Queue], to: str | None) -> Queue:
    came_from = message.get("Attributes", {}).get("DeadLetterQueueSourceArn")
    names = [to] if to else list(queue.sources)
    found = [one for one in queues if (one.arn == came_from if came_from and not to else one.name in names)]
    if len(found) == 1 and not found[0].problem:
        return found[0]
    if to:
        raise Trouble(f"no queue is called `{to}`: there are {', '.join(one.name for one in queues)}")
    if not queue.sources:
        raise Trouble(f"`{queue.name}` holds no dead letters of another queue: name one to send to by `--to`")
    raise Trouble(f"`{queue.name}` gets those of {', '.join(queue.sources)}: name one of them by `--to`")


def _copy(server: Server, message: Mapping[str, Any], target: Queue) -> None:
    words: dict[str, Any] = {"QueueUrl": target.url, "MessageBody": message["Body"]}
    if message.get("MessageAttributes"):
        words["MessageAttributes"] = message["MessageAttributes"]
    if target.fifo:
        # The old id would have SQS drop it as a duplicate, five minutes long, and say that all was well.
        group = message.get("Attributes", {}).get("MessageGroupId", "default")
        words |= {"MessageGroupId": group, "MessageDeduplicationId": uuid.uuid4().hex}
    server.ask("send_message", **words)


def _delete(server: Server, queue: Queue, message: Mapping[str, Any]) -> None:
    server.ask("delete_message", QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])


@contextlib.contextmanager
def _held(server: Server, queue: Queue, *, batch: int = BATCH) -> Iterator[Callable[[int], Iterator[dict[str, Any]]]]:
    """Give a function that takes messages one by one; in the end all come back that are not marked `gone`."""
    taken: list[dict[str, Any]] = []

    def receive(limit: int) -> Iterator[dict[str, Any]]:
        while len(taken) < limit:
            found = _receive(server, queue, min(batch, limit - len(taken)))
            if not found:
                return
            taken.extend(found)
            yield from found

    try:
        yield receive
    finally:
        _give_back(server, queue, [message for message in taken if not message.get("gone")])


def _receive(server: Server, queue: Queue, most: int) -> list[dict[str, Any]]:
    answer = server.ask(
        "receive_message",
        QueueUrl=queue.url,
        MaxNumberOfMessages=most,
        VisibilityTimeout=HOLD_S,
        # Amazon asks all of its machines only in a long poll.
        WaitTimeSeconds=0 if server.settings.endpoint else 1,
        AttributeNames=["All"],
        MessageAttributeNames=["All"],
    )
    found: list[dict[str, Any]] = answer.get("Messages", [])
    return found


def _give_back(server: Server, queue: Queue, messages: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(messages), BATCH):
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
            for number, message in enumerate(messages[start : start + BATCH])
        ]
        server.ask("change_message_visibility_batch", QueueUrl=queue.url, Entries=entries)


def count(message: Mapping[str, Any]) -> int:
    """Return how often a message was delivered."""
    return int(message.get("Attributes", {}).get("ApproximateReceiveCount") or 0)
