"""Ask an SQS server about its queues."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from berth_queues.settings import Settings, Trouble

CONNECT_S = 2
READ_S = 5


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
            answer = self.ask("list_queues", MaxResults=1000, **words)
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
            answer = self.ask("get_queue_attributes", QueueUrl=url, AttributeNames=["All"])
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
                url = self.ask("get_queue_url", QueueName=name)["QueueUrl"]
                found.append(self._described(name, url, url in self.settings.urls.values()))
            except NoSuchQueue:
                found.append(Queue(name, "", False, problem=f"the queue `{name}` is not there"))
        return found

    def _by_arn(self, arn: str) -> Queue:
        *_, account, name = arn.split(":")
        try:
            url = self.ask("get_queue_url", QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        except NoSuchQueue:
            return Queue(name, "", False, arn=arn, problem=f"the queue `{name}`, for dead letters, is not there")
        return self._described(name, url, False)

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
        return str(self.ask("create_queue", QueueName=name, Attributes=wanted)["QueueUrl"])

    def ask(self, action: str, **words: Any) -> Any:
        """Return the answer to a request, by boto3's name for it.

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
