"""What of a project's settings and queues will hurt on SQS, said before it does.

A worker logs it at its start. A Django project that lists `fast_sqs` in INSTALLED_APPS has the part about its settings
from `manage.py check`, too, where SILENCED_SYSTEM_CHECKS takes the ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fast_sqs.transport import RECEIVES


@dataclass(frozen=True)
class Problem:
    """What is wrong, and what to do."""

    id: str
    text: str
    hint: str


def of_settings(conf: Any) -> Iterator[Problem]:
    """Look at the settings of a Celery application, `app.conf`."""
    if not conf.task_acks_late:
        text = "a message is deleted before its task runs: a worker that is killed loses it"
        yield Problem("fast_sqs.W001", text, "set task_acks_late, and let tasks bear to be run twice")
    if conf.worker_enable_remote_control:
        text = "remote control is on: SQS has none, and every worker makes and polls a queue for it"
        yield Problem("fast_sqs.W002", text, "set worker_enable_remote_control to False")
    if conf.worker_send_task_events or conf.task_send_sent_event:
        text = "events are on: on SQS nothing can follow them, and each is a message that is paid for"
        yield Problem("fast_sqs.W003", text, "set worker_send_task_events and task_send_sent_event to False")
    if not conf.result_backend and not conf.task_ignore_result:
        text = "results are wanted, but there is no result_backend: `get()` of a result raises"
        yield Problem("fast_sqs.W004", text, "set task_ignore_result, or a result_backend")
    known = set(conf.broker_transport_options.get("predefined_queues") or {})
    for pattern, queue in routes(conf):
        if known and queue not in known:
            text = f"the route of `{pattern}` leads to the queue `{queue}`, which is not in predefined_queues"
            yield Problem("fast_sqs.W005", text, f"name one of: {', '.join(sorted(known))}; or add its URL")


def routes(conf: Any) -> Iterator[tuple[str, str]]:
    """Return the patterns of `task_routes` with their queues; what a function routes is not known."""
    found = conf.task_routes or {}
    for part in found if isinstance(found, list | tuple) else [found]:
        for pattern, route in part.items() if isinstance(part, Mapping) else []:
            queue = route.get("queue") if isinstance(route, Mapping) else route
            if queue:
                yield str(pattern), str(getattr(queue, "name", queue))


def of_queue(conf: Any, name: str, attributes: Mapping[str, str], grace: float = 0) -> Iterator[Problem]:
    """Look at a queue.

    :param attributes: what GetQueueAttributes says of it.
    :param grace: seconds that running tasks get at a stop.
    """
    policy = json.loads(attributes.get("RedrivePolicy") or "{}")
    if not policy:
        text = f"queue {name} has no dead-letter queue: a task that always fails is run again for ever"
        yield Problem("fast_sqs.W006", text, "give the queue a redrive policy")
    elif int(policy["maxReceiveCount"]) < RECEIVES:
        text = f"queue {name} has maxReceiveCount {policy['maxReceiveCount']}, so no message is reserved, which is slow"
        yield Problem("fast_sqs.W007", text, f"set {RECEIVES} or more")
    visibility = int(attributes.get("VisibilityTimeout", 30))
    limit = conf.task_time_limit
    if limit and visibility < limit:
        text = f"queue {name} shows a message again after {visibility} s, but a task may take {limit:g} s"
        hint = "raise its visibility timeout: a worker whose loop hangs cannot extend it, and the task runs twice"
        yield Problem("fast_sqs.W008", text, hint)
    if visibility < 3 * grace:
        text = f"queue {name} shows a message again after {visibility} s, and a stop may take {grace:g} s"
        yield Problem("fast_sqs.W009", text, "let the visibility timeout be three times that")
