"""Ask an SQS server about its queues, and move messages between them. Only `purge` loses any."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from berth_queues.settings import Settings, Trouble

CONNECT_S = 2
READ_S = 5
HOLD_S = 30
"""Seconds for which messages are hidden while they are looked at or moved; a killed process gives them back then."""
BATCH = 10
"""The most messages that SQS takes or gives in one request."""


@dataclass(frozen=True)
class Queue:
    """A queue as the server describes it. All numbers of messages are the server's, which Amazon calls approximate.

    :param name: Celery's name for it, or else the server's.
    :param used: SQS_QUEUE_URLS names it.
    :param visibility_timeout: seconds for which a message that was received is hidden.
    :param max_receives: deliveries after which a message becomes a dead letter; None: it never does.
    :param dead_letters: name of the queue that gets its dead letters.
    :param sources: the queues whose dead letters it holds.
    :param problem: why nothing else is known; None: all is well.
    """

    name: str
    url: str
    used: bool
    arn: str = ""
    visible: int = 0
    in_flight: int = 0
    delayed: int = 0
    visibility_timeout: int = 0
    delay: int = 0
    max_receives: int | None = None
    dead_letters: str | None = None
    sources: tuple[str, ...] = ()
    fifo: bool = False
    problem: str | None = None
    attributes: Mapping[str, str] | None = None

    @property
    def total(self) -> int:
        return self.visible + self.in_flight + self.delayed

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"total": self.total}


class Server:
    """The server that the settings name."""

    def __init__(self, settings: Settings) -> None:
        """
        :raises Trouble: boto3 is not there, or does not take the settings.
        """
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError:
            raise Trouble("boto3 is not installed: `celery[sqs]` in the project's requirements brings it") from None
        self.settings = settings
        key, secret = settings.key or (None, None)
        limits = Config(connect_timeout=CONNECT_S, read_timeout=READ_S, retries={"total_max_attempts": 1})
        try:
            self._client = boto3.client(
                "sqs",
                region_name=settings.region,
                endpoint_url=settings.endpoint,
                aws_access_key_id=key,
                aws_secret_access_key=secret,
                config=limits,
            )
        except (BotoCoreError, ValueError) as error:
            raise Trouble(f"boto3: {error}") from None

    # --- Looking -------------------------------------------------------------

    def queues(self) -> list[Queue]:
        """Return the queues that the project uses and those of their dead letters; of a server of one's own, all.

        :raises Trouble: the server does not answer, or not to us.
        """
        urls = {_path(url): (name, url, True) for name, url in self.settings.urls.items()}
        if self.settings.endpoint or not urls:
            for url in self.listed():
                urls.setdefault(_path(url), (last(url), url, False))
        found = [self._described(name, url, used) for name, url, used in urls.values()]
        for arn in sorted({arn for queue in found if (arn := _target(queue))} - {queue.arn for queue in found}):
            found.append(self._by_arn(arn))
        names = {queue.arn: queue.name for queue in found if queue.arn}
        sources = {
            arn: tuple(sorted(queue.name for queue in found if _target(queue) == arn))
            for arn in {_target(queue) for queue in found}
        }
        related = [_related(queue, names, sources.get(queue.arn, ())) for queue in found]
        return sorted(related, key=lambda queue: (not queue.used, queue.name))

    def listed(self) -> list[str]:
        """Return the URLs of all queues of the server."""
        urls, token = [], None
        while True:
            words = {"NextToken": token} if token else {}
            answer = self._ask("list_queues", MaxResults=1000, **words)
            urls += answer.get("QueueUrls", [])
            token = answer.get("NextToken")
            if not token:
                return urls

    def queue(self, name: str) -> Queue:
        """Return a queue by its name.

        :raises Trouble: there is none, with the names of those that are.
        """
        found = self.queues()
        for queue in found:
            if queue.name == name:
                if queue.problem:
                    raise Trouble(queue.problem)
                return queue
        names = ", ".join(queue.name for queue in found if not queue.problem) or "none at all"
        raise Trouble(f"no queue is called `{name}` at {self.settings.where}, which has {names}")

    def _described(self, name: str, url: str, used: bool) -> Queue:
        try:
            answer = self._ask("get_queue_attributes", QueueUrl=url, AttributeNames=["All"])
        except NoSuchQueue:
            return Queue(
                name, url, used, problem=f"the queue `{name}` is not there: {self.settings.where} has no {url}"
            )
        found = answer.get("Attributes", {})
        policy = json.loads(found.get("RedrivePolicy") or "{}")
        return Queue(
            name=name,
            url=url,
            used=used,
            arn=found.get("QueueArn", ""),
            visible=int(found.get("ApproximateNumberOfMessages", 0)),
            in_flight=int(found.get("ApproximateNumberOfMessagesNotVisible", 0)),
            delayed=int(found.get("ApproximateNumberOfMessagesDelayed", 0)),
            visibility_timeout=int(found.get("VisibilityTimeout", 0)),
            delay=int(found.get("DelaySeconds", 0)),
            max_receives=int(policy["maxReceiveCount"]) if policy else None,
            fifo=found.get("FifoQueue") == "true",
            attributes=found,
        )

    def named(self, names: Sequence[str]) -> list[Queue]:
        """Return queues by the server's names for them; one that is not there has a problem."""
        found = []
        for name in names:
            try:
                url = self._ask("get_queue_url", QueueName=name)["QueueUrl"]
                found.append(self._described(name, url, url in self.settings.urls.values()))
            except NoSuchQueue:
                found.append(Queue(name, "", False, problem=f"the queue `{name}` is not there"))
        return found

    def _by_arn(self, arn: str) -> Queue:
        *_, account, name = arn.split(":")
        try:
            url = self._ask("get_queue_url", QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        except NoSuchQueue:
            return Queue(name, "", False, arn=arn, problem=f"the queue `{name}`, for dead letters, is not there")
        return self._described(name, url, False)

    def peek(self, queue: Queue, limit: int) -> tuple[list[dict[str, Any]], int]:
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
        with self._held(queue) as receive:
            seen = list(receive(limit))
            for message in seen:
                if queue.max_receives and count(message) >= queue.max_receives:
                    self._copy(message, queue)
                    self._delete(queue, message)
                    message["gone"] = True
                    anew += 1
        return sorted(seen, key=lambda message: message["Attributes"].get("SentTimestamp", "")), anew

    # --- Moving --------------------------------------------------------------

    def redrive(
        self,
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
        from berth_queues.messages import decode

        queues = self.queues()
        left, moved = set(ids), 0
        # One at a time where it takes long: what is hidden for longer than HOLD_S comes back, and would be doubled.
        with self._held(queue, batch=1 if rate else BATCH) as receive:
            # What comes in meanwhile, such as what fails again at once, is not for this round.
            for message in receive(queue.visible):
                known = {message["MessageId"], decode(message).get("task_id")} & left
                if ids and not known:
                    continue
                target = self._destination(queue, message, queues, to)
                self._copy(message, target)
                self._delete(queue, message)
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

    def purge(self, queue: Queue) -> None:
        """Delete all messages of a queue, those in flight and delayed ones, too."""
        self._ask("purge_queue", QueueUrl=queue.url)

    def create(self, name: str, attributes: Mapping[str, str], dead_letters: str = "", max_receives: int = 0) -> str:
        """Make a queue, and return its URL.

        :param dead_letters: name of the queue that gets what was delivered ``max_receives`` times; empty: none.
        :raises Trouble: the server refuses, or that queue is not there.
        """
        wanted = dict(attributes)
        if dead_letters:
            (target,) = self.named([dead_letters])
            if target.problem:
                raise Trouble(target.problem)
            wanted["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": target.arn, "maxReceiveCount": max_receives})
        return str(self._ask("create_queue", QueueName=name, Attributes=wanted)["QueueUrl"])

    def _destination(self, queue: Queue, message: Mapping[str, Any], queues: Sequence[Queue], to: str | None) -> Queue:
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

    def _copy(self, message: Mapping[str, Any], target: Queue) -> None:
        words: dict[str, Any] = {"QueueUrl": target.url, "MessageBody": message["Body"]}
        if message.get("MessageAttributes"):
            words["MessageAttributes"] = message["MessageAttributes"]
        if target.fifo:
            # The old id would have SQS drop it as a duplicate, five minutes long, and say that all was well.
            group = message.get("Attributes", {}).get("MessageGroupId", "default")
            words |= {"MessageGroupId": group, "MessageDeduplicationId": uuid.uuid4().hex}
        self._ask("send_message", **words)

    def _delete(self, queue: Queue, message: Mapping[str, Any]) -> None:
        self._ask("delete_message", QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])

    @contextlib.contextmanager
    def _held(self, queue: Queue, *, batch: int = BATCH) -> Iterator[Callable[[int], Iterator[dict[str, Any]]]]:
        """Give a function that takes messages one by one; in the end all come back that are not marked `gone`."""
        taken: list[dict[str, Any]] = []

        def receive(limit: int) -> Iterator[dict[str, Any]]:
            while len(taken) < limit:
                answer = self._ask(
                    "receive_message",
                    QueueUrl=queue.url,
                    MaxNumberOfMessages=min(batch, limit - len(taken)),
                    VisibilityTimeout=HOLD_S,
                    # Amazon asks all of its machines only in a long poll.
                    WaitTimeSeconds=0 if self.settings.endpoint else 1,
                    AttributeNames=["All"],
                    MessageAttributeNames=["All"],
                )
                found = answer.get("Messages", [])
                if not found:
                    return
                taken.extend(found)
                yield from found

        try:
            yield receive
        finally:
            self._give_back(queue, [message for message in taken if not message.get("gone")])

    def _give_back(self, queue: Queue, messages: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(messages), BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                for number, message in enumerate(messages[start : start + BATCH])
            ]
            self._ask("change_message_visibility_batch", QueueUrl=queue.url, Entries=entries)

    def _ask(self, action: str, **words: Any) -> Any:
        """
        :raises Trouble: it does not answer, or refuses.
        """
        from botocore import exceptions as boto

        where = self.settings.where
        try:
            return getattr(self._client, action)(**words)
        except (boto.ConnectTimeoutError, boto.ReadTimeoutError):
            raise Trouble(f"{where} does not answer within {READ_S} s") from None
        except (boto.EndpointConnectionError, boto.ConnectionClosedError, boto.HTTPClientError):
            raise Trouble(f"nothing answers at {where}: is the broker up, and CELERY_BROKER_URL right?") from None
        except (boto.NoCredentialsError, boto.PartialCredentialsError):
            raise Trouble("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from None
        except boto.ClientError as error:
            raise _explained(error, where) from None
        except boto.BotoCoreError as error:
            raise Trouble(f"{where}: {error}") from None


class NoSuchQueue(Trouble):
    """The server has no queue of that URL or name."""


REFUSED = {
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "UnrecognizedClientException",
    "AccessDenied",
    "AccessDeniedException",
    "InvalidSecurity",
    "MissingAuthenticationToken",
    "ExpiredToken",
}


def _explained(error: Any, where: str) -> Trouble:
    said = error.response.get("Error", {})
    code, text = str(said.get("Code", "")), str(said.get("Message", "")).split("\n")[0]
    if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
        return NoSuchQueue(f"{where} has no such queue")
    if code.rpartition(".")[2] in REFUSED:
        return Trouble(f"{where} refuses AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({code}): {text}")
    return Trouble(f"{where}: {text or code}")


def count(message: Mapping[str, Any]) -> int:
    """Return how often a message was delivered."""
    return int(message.get("Attributes", {}).get("ApproximateReceiveCount") or 0)


def last(url: str) -> str:
    """Return the name of a queue, by its URL."""
    return url.rstrip("/").rpartition("/")[2]


def _path(url: str) -> str:
    # One server has several names: `broker` in a container, 127.0.0.1 outside.
    return urlsplit(url).path.strip("/")


def _target(queue: Queue) -> str | None:
    policy = json.loads((queue.attributes or {}).get("RedrivePolicy") or "{}")
    return policy.get("deadLetterTargetArn")


def _related(queue: Queue, names: Mapping[str, str], sources: tuple[str, ...]) -> Queue:
    target = _target(queue)
    return replace(queue, dead_letters=names.get(target) if target else None, sources=sources if queue.arn else ())
