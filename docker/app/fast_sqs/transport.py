"""kombu's SQS transport, with its requests put together and none of them waited for in the worker's loop.

What it changes, and why (kombu 5.7):

- **Acknowledge.** kombu sends one blocking DeleteMessage for each message inside the event loop, which is 70 % of the
  loop's time (celery/celery#6352, celery/celery#9749). Here ten go into one DeleteMessageBatch over the loop's own
  client. One that is lost means one more delivery, as SQS allows itself anyway, never a lost task.
- **Receive.** kombu asks for as many messages as there is room for, mostly one, and pauses for `polling_interval` when
  there is none (celery/kombu#685, celery/kombu#1783). Here half of what may be reserved is worked off first, and the
  next poll starts with the acknowledgement that makes room.
- **Visibility.** All that is held, running, reserved or waiting for its ETA, is extended before it becomes visible, up
  to SQS's limit of 12 hours: a long task runs once.
- **Prefetch.** Every receive counts towards `maxReceiveCount`, and what is reserved behind a long task waits. So the
  window starts at the number of processes, grows by one with each message done within `QUICK` seconds of its receive,
  up to Celery's prefetch count, and falls back at the first one that took longer. `fast_sqs.worker` sets it up.
- **Stop.** The poll that hangs at the server is waited for: ElasticMQ would hand a message to nobody, and hide it for
  the visibility timeout. Then deletes are sent, and the rest is visible again at once (celery/kombu#2049).
- **Errors** of a request are one line in the log and a new try; kombu's receive ends the worker. No answer is an error,
  too: kombu's client waits for ever, as for a connection that a router has forgotten.
"""

# mypy: allow-untyped-calls
# (kombu's)
from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

import pycurl
from botocore.exceptions import BotoCoreError, ClientError
from kombu.asynchronous.http import curl
from kombu.log import get_logger
from kombu.transport import SQS
from vine import promise

from fast_sqs.publish import BATCH, LARGEST, Sender

logger = get_logger("fast_sqs")

DELAY = 0.005
"""Seconds that an acknowledgement waits for others."""
QUICK = 1.0
"""Seconds from receive to acknowledgement within which a message counts as quickly done."""
RETRY = (1, 2, 5, 10)
"""Seconds before the first, second... try after an error of the server."""
ANSWER = 20.0
"""Seconds without an answer that are an error, unless `read_timeout` of `client-config` is set."""
RECEIVES = 3
"""`maxReceiveCount` from which on messages are reserved: one receive may be lost to that, and one to a stop."""
LONGEST = 12 * 3600
"""Seconds for which SQS lets a message be extended, counted from its receive."""
DELETE, EXTEND, RECEIVE = "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "ReceiveMessage"


class Client(curl.CurlClient):  # type: ignore[misc]
    """The loop's client, with an end of its patience."""

    limit = 60.0
    """Seconds that a request may take in all."""

    def _setup_request(self, handle: Any, *args: Any, **kwargs: Any) -> None:
        super()._setup_request(handle, *args, **kwargs)
        handle.setopt(pycurl.TIMEOUT_MS, int(1000 * self.limit))


@dataclass
class Held:
    """A message that was received and whose delete is not confirmed yet; times are those of `time.monotonic()`."""

    queue: str
    url: str
    handle: str
    received: float
    until: float
    receives: int


class QoS(SQS.QoS):
    """Settles with the server in batches what kombu would give back one by one."""

    def restore_unacked_once(self, stderr: Any = None) -> None:
        for tag in self.channel.held:
            self._delivered.pop(tag, None)
        self.channel.settle()
        super().restore_unacked_once(stderr)


class Channel(SQS.Channel):
    """See the module. `least` is the number of processes to keep busy; without it, there is no window."""

    QoS = QoS
    hub: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.least = self.window = 0
        self.held: dict[str, Held] = {}
        self._initial: int | None = None
        self._acked: dict[str, Held] = {}
        self._unsent: list[Held] = []
        self._flush: Any = None
        self._receiving: set[str] = set()
        self._idle: set[str] = set()
        self._failures = 0
        self._draining = False
        self._reserves = True
        self._failing: set[tuple[str, str]] = set()
        self._visibility: dict[str, int] = {}
        self.attributes: dict[str, dict[str, str]] = {}
        self._heartbeat: Any = None
        super().__init__(*args, **kwargs)

    # Publish.

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        headers = message.get("headers") or {}
        self._puts = None if message.get("redelivered") else str(headers.get("task", ""))
        try:
            super()._put(queue, message, **kwargs)
        finally:
            self._puts = None

    _puts: str | None = None
    """The task whose message is being sent."""
    _client: Any = None

    def sqs(self, queue: str | None = None) -> Any:
        client = super().sqs(queue)
        if self._puts is None:
            return client
        return Sender(client, self._puts, int(self.transport_options.get("max_message_bytes", LARGEST)))

    def _size(self, queue: str) -> int:
        """A worker asks for this when it starts; the exception is one that Celery reports in one line."""
        try:
            return int(super()._size(queue))
        except ClientError as error:
            if self.hub:
                time.sleep(RETRY[0])  # Celery tries again at once, and gives up at five times within a second.
            raise ConnectionError(f"queue {queue}: {error}") from error

    # Receive.

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        super().basic_qos(prefetch_size, prefetch_count, apply_global)
        if self._initial is None:
            self._initial = prefetch_count
        self._wake()

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        if self.hub and queue not in self._visibility:
            self._visibility[queue] = self._ask_visibility(queue)
            if self._heartbeat:
                self._heartbeat.cancel()
            interval = max(0.5, min(self._visibility.values()) / 6)
            self._heartbeat = self.hub.call_repeatedly(interval, self.extend)
            # Made now: a signal to stop may come while the loop would make it, and stopping needs it.
            self._client = self.asynsqs(queue=self.canonical_queue_name(queue))._httpclient
        return super().basic_consume(queue, *args, **kwargs)

    def asynsqs(self, queue: str | None = None) -> Any:
        """An answer may take as long as one to boto3, and the wait of a poll."""
        if not isinstance(getattr(self.hub, "_current_http_client", None), Client):
            client = self.hub._current_http_client = Client(self.hub)
            answer = (self.transport_options.get("client-config") or {}).get("read_timeout", ANSWER)
            client.limit = self.wait_time_seconds + float(answer)
        return super().asynsqs(queue)

    def _ask_visibility(self, queue: str) -> int:
        """Return the visibility timeout of a queue, in seconds, and see whether messages may be reserved."""
        client = self.sqs(queue=self.canonical_queue_name(queue))
        try:
            answer = client.get_queue_attributes(QueueUrl=self._new_queue(queue), AttributeNames=["All"])
        except ClientError as error:
            raise ConnectionError(f"queue {queue}: {error}") from error
        self.attributes[queue] = answer["Attributes"]
        receives = int(json.loads(answer["Attributes"].get("RedrivePolicy") or "{}").get("maxReceiveCount", RECEIVES))
        if receives < RECEIVES:
            self._reserves = False
        return max(1, int(answer["Attributes"]["VisibilityTimeout"]))

    def _room(self) -> int:
        """Return how many messages to ask for, none while enough is reserved for the next requests."""
        count = self.qos.prefetch_count
        if not count:
            return BATCH
        waiting = max(0, count - (self._initial or count))  # Celery adds one for each message that waits for its ETA.
        limit = min(self.window, self._initial or count) + waiting if self.least else count
        room = limit - len(self.held)
        short = len(self.held) - waiting < (self.least or count)
        return min(room, BATCH) if room > 0 and (short or 2 * room >= min(limit, 2 * BATCH)) else 0

    def _schedule_queue(self, queue: str) -> None:
        if queue not in self._active_queues or queue in self._receiving or self._draining:
            return
        if not (room := self._room()):
            self._idle.add(queue)
            return
        self._receiving.add(queue)
        url = self._new_queue(queue)
        wanted = self.get_message_attributes
        parameters = {"MaxNumberOfMessages": room, "WaitTimeSeconds": self.wait_time_seconds, **wanted}
        self._request(RECEIVE, queue, url, parameters, partial(self._on_received, queue, url))

    def _on_received(self, queue: str, url: str, answer: dict[str, Any] | None) -> None:
        self._receiving.discard(queue)
        messages = (answer or {}).get("Messages", [])
        now = time.monotonic()
        fresh = []
        for message in messages:
            receives = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
            until = now + self._visibility.get(queue, 1)
            fresh.append(Held(queue, url, message["ReceiptHandle"], now, until, receives))
        if queue not in self._noack_queues:
            self.held.update((held.handle, held) for held in fresh)
        deliver = self.connection._callbacks.get(queue)
        if deliver is None or self._draining:  # basic_cancel() waits for this.
            self._release(fresh)
            return
        for message in messages:
            deliver(self._message_to_python(message, queue, url))
        self._failures = 0 if answer is not None else self._failures + 1
        pause = RETRY[min(self._failures, len(RETRY)) - 1] if self._failures else 0
        if not messages and not self.wait_time_seconds:
            pause = max(pause, self.connection.polling_interval or 0)
        if pause:
            self.hub.call_later(pause, self._schedule_queue, queue)
        else:
            self._schedule_queue(queue)

    def _wake(self) -> None:
        """Poll the queues that waited for room."""
        if self._idle and self._room():
            idle, self._idle = self._idle, set()
            for queue in idle:
                self.hub.call_soon(self._schedule_queue, queue)

    # Acknowledge.

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        held = self.held.get(delivery_tag)
        if held is None:
            super().basic_ack(delivery_tag, multiple)
            return
        quick = self._reserves and time.monotonic() - held.received < QUICK
        self.window = min(self.window + 1, max(self._initial or 0, self.least)) if quick else self.least
        self._acked[held.handle] = held
        self._unsent.append(held)
        self._let_go(delivery_tag)
        if not self._consumers:  # The loop is about to end, or has ended.
            self._delete_acked()
        elif len(self._unsent) >= BATCH:
            self._send_deletes()
        elif not self._flush:
            self._flush = self.hub.call_later(DELAY, self._send_deletes)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        super().basic_reject(delivery_tag, requeue=requeue)
        self._let_go(delivery_tag)

    def _let_go(self, delivery_tag: str) -> None:
        self.held.pop(delivery_tag, None)
        self.qos.ack(delivery_tag)
        self._wake()

    def _send_deletes(self) -> None:
        if self._flush:
            self._flush.cancel()
            self._flush = None
        unsent, self._unsent = self._unsent, []
        for part in batches(unsent):
            self._request(DELETE, part[0].queue, part[0].url, rows(part), partial(self._on_deleted, part))

    def _on_deleted(self, part: list[Held], answer: dict[str, Any] | None) -> None:
        """Forget what is deleted; what is not is tried again while it is invisible, and delivered again after that."""
        failed = {int(row["Id"]) for row in answer.get("Failed", [])} if answer is not None else set(range(len(part)))
        for number, held in enumerate(part):
            if number in failed and held.until > time.monotonic() + RETRY[0]:
                self._unsent.append(held)
            else:
                self._acked.pop(held.handle, None)
        if self._unsent and not self._flush:
            self._flush = self.hub.call_later(RETRY[0] if failed else DELAY, self._send_deletes)

    # Visibility.

    def extend(self) -> None:
        """Keep what is held invisible. A worker's timer calls this; call it where the loop stands still for long."""
        now = time.monotonic()
        due = []
        for held in self.held.values():
            timeout = self._visibility[held.queue]
            if held.until - now < timeout / 2 and now - held.received + timeout < LONGEST:
                due.append(held)
        for part in batches(due):
            timeout = self._visibility[part[0].queue]
            done = partial(self._on_extended, part, now + timeout)
            self._request(EXTEND, part[0].queue, part[0].url, rows(part, VisibilityTimeout=timeout), done)

    def _on_extended(self, part: list[Held], until: float, answer: dict[str, Any] | None) -> None:
        for row in (answer or {}).get("Successful", []):
            part[int(row["Id"])].until = until

    def give_back(self, delivery_tags: Iterable[str]) -> None:
        """Make messages visible again that nothing has begun to work on, and take no more than there are processes."""
        given = [self.held[tag] for tag in delivery_tags if tag in self.held]
        for part in batches(given):
            values = rows(part, VisibilityTimeout=0)
            self._request(EXTEND, part[0].queue, part[0].url, values, lambda answer: None)
        self.window = self.least
        for held in given:
            self._let_go(held.handle)

    def _request(
        self, operation: str, queue: str, url: str, values: Any, done: Callable[[dict[str, Any] | None], None]
    ) -> None:
        """Send a request over the loop's client; *done* gets the answer, or None after an error, which is logged."""

        def ready(response: Any) -> None:
            if response.status == 200:
                if (operation, queue) in self._failing:
                    self._failing.remove((operation, queue))
                    logger.warning("%s of queue %s works again", operation, queue)
                done(json.loads(response.read()))
                return
            if (operation, queue) not in self._failing:
                self._failing.add((operation, queue))
                logger.error("%s of queue %s fails, trying again: %s", operation, queue, explain(response))
            done(None)

        client = self.asynsqs(queue=self.canonical_queue_name(queue))
        client.make_request(operation, values, url, "POST", callback=promise(ready))

    # Stop.

    def drain(self) -> None:
        """Receive no more, while what runs is worked off, acknowledged and extended; the rest is visible again."""
        self._draining = True

    @property
    def settled(self) -> bool:
        """Whether no poll is under way and every acknowledgement is with the server."""
        return not self._receiving and not self._acked

    def close(self) -> None:
        if self._heartbeat:
            self._heartbeat.cancel()
            self._heartbeat = None
        super().close()

    def basic_cancel(self, consumer_tag: str) -> Any:
        cancelled = super().basic_cancel(consumer_tag)
        if not self._consumers:
            self._await_polls()
        return cancelled

    def _await_polls(self) -> None:
        """Turn the client, instead of the loop, until the server has answered."""
        end = time.monotonic() + self.wait_time_seconds + 1
        while self._receiving and time.monotonic() < end:
            if self._client._closed:
                break
            try:
                self._client._timeout_check()
            except pycurl.error:  # The signal to stop came from within this very client.
                break
            time.sleep(0.005)

    def settle(self) -> None:
        """Delete what is acknowledged, and make all else visible again, blocking."""
        self._delete_acked()
        if self.held:
            logger.info("Giving back %d message(s)", len(self.held))
        self._release(list(self.held.values()))

    def _delete_acked(self) -> None:
        acked, self._acked, self._unsent = list(self._acked.values()), {}, []
        for part in batches(acked):
            self._settle(part, "delete_message_batch", rows(part))

    def _release(self, messages: list[Held]) -> None:
        for part in batches(messages):
            self._settle(part, "change_message_visibility_batch", rows(part, VisibilityTimeout=0))
        for held in messages:
            self.held.pop(held.handle, None)

    def _settle(self, part: list[Held], method: str, values: dict[str, Any]) -> None:
        try:
            client = self._new_release_client(self.sqs(queue=self.canonical_queue_name(part[0].queue)))
            getattr(client, method)(QueueUrl=part[0].url, **values)
        except (ClientError, BotoCoreError, OSError) as error:
            logger.warning("%d message(s) of queue %s come again: %s", len(part), part[0].queue, error)


def batches(messages: Iterable[Held]) -> Iterator[list[Held]]:
    """Cut into lists of ten at most, each of one queue."""
    for _, group in groupby(sorted(messages, key=attrgetter("queue")), attrgetter("queue")):
        of_queue = list(group)
        yield from (of_queue[start : start + BATCH] for start in range(0, len(of_queue), BATCH))


def explain(response: Any) -> str:
    """Return what an answer that is not 200 says, in one line."""
    if not (text := (response.read() or b"").decode(errors="replace")):
        return str(getattr(response.response.error, "message", None) or f"HTTP {response.status}")
    with suppress(ValueError, KeyError, TypeError):
        answer = json.loads(text)
        text = f"{answer['__type'].rsplit('#')[-1]}: {answer.get('message') or answer.get('Message')}"
    return f"HTTP {response.status} {' '.join(text.split())[:300]}"


def rows(part: list[Held], **more: Any) -> dict[str, Any]:
    """Return the parameter `Entries` of a batch request."""
    return {"Entries": [{"Id": str(i), "ReceiptHandle": held.handle, **more} for i, held in enumerate(part)]}


class Transport(SQS.Transport):
    """Celery's `broker_transport` is "fast_sqs:Transport"."""

    Channel = Channel

    def establish_connection(self) -> Any:
        """Let a worker whose credentials are wrong wait for right ones, with one line at each try."""
        connection = super().establish_connection()
        channel = self._avail_channels[-1]
        for queue in list(channel.predefined_queues)[:1] if channel.hub else []:
            try:
                channel._ask_visibility(queue)
            except ConnectionError as error:
                cause = error.__cause__
                if isinstance(cause, ClientError) and cause.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
                    self._avail_channels.pop().close()
                    raise
        return connection
