"""Compare the definition of the queues with what Celery is told, and with what a server has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from berth.queues.definition import FILE, Queue, with_work

MEANING = {
    "VisibilityTimeout": "visibility_timeout",
    "DelaySeconds": "delay",
    "ReceiveMessageWaitTimeSeconds": "receive_wait",
    "MessageRetentionPeriod": "retention",
    "FifoQueue": "fifo",
    "ContentBasedDeduplication": "content_based_deduplication",
}


def of_urls(queues: Mapping[str, Queue], urls: Mapping[str, str]) -> list[str]:
    """Return how SQS_QUEUE_URLS differs from the definition.

    :param urls: the URL of each queue, by the name that Celery has for it.
    """
    found = []
    for name, url in urls.items():
        if (last := urlsplit(url).path.rpartition("/")[2]) not in queues:
            found.append(f"SQS_QUEUE_URLS: `{name}` is at the queue `{last}`, which {FILE} does not define")
    there = {urlsplit(url).path.rpartition("/")[2] for url in urls.values()}
    found += [
        f"SQS_QUEUE_URLS has no `{name}`, so Celery cannot publish to it: add {name}=URL"
        for name in with_work(queues)
        if name not in there
    ]
    return found


def parse_urls(text: str) -> dict[str, str]:
    """Return the queues in the value of SQS_QUEUE_URLS."""
    pairs = (part.strip().partition("=") for part in text.split(","))
    return {name: url for name, _, url in pairs if name and url}


def missing(queues: Mapping[str, Queue], described: Sequence[Mapping[str, Any]]) -> list[Queue]:
    """Return the queues that a server has not, those for dead letters before the others.

    :param described: what `queues.sh describe` printed.
    """
    there = {one["name"] for one in described if not one["problem"]}
    lacking = [queue for name, queue in queues.items() if name not in there]
    return sorted(lacking, key=lambda queue: queue.dead_letters is not None)


def of_server(queues: Mapping[str, Queue], described: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return how the queues of a server differ from the definition.

    :param described: what `queues.sh describe` printed.
    """
    found = [f"{queue.name}: is not there" for queue in missing(queues, described)]
    for one in described:
        if not one["problem"]:
            found += [f"{one['name']}: {text}" for text in _differences(queues[one["name"]], one["attributes"])]
    return found


def _differences(queue: Queue, attributes: Mapping[str, str]) -> list[str]:
    found = []
    for name, wanted in queue.attributes().items():
        # ElasticMQ keeps messages for ever, and says nothing of it.
        there = attributes.get(name, wanted if name == "MessageRetentionPeriod" else "")
        if there.lower() != wanted:
            found.append(f"{MEANING[name]} is {there or 'not set'}, and {wanted} in {FILE}")
    policy = json.loads(attributes.get("RedrivePolicy") or "{}")
    target = str(policy.get("deadLetterTargetArn", "")).rpartition(":")[2]
    receives = int(policy.get("maxReceiveCount", 0))
    if (target or None, receives or None) != (queue.dead_letters, queue.max_receives):
        found.append(f"{_policy(target, receives)}, and {_policy(queue.dead_letters, queue.max_receives)} in {FILE}")
    return found


def _policy(target: str | None, receives: int | None) -> str:
    return f"dead letters go to {target} after {receives} deliveries" if target else "there are no dead letters"
