"""The worker's part: how many messages to hold, and which to give back."""

from __future__ import annotations

import time
from typing import Any

from celery import bootsteps
from celery.worker import state

from fast_sqs.transport import Channel

PATIENCE = 2.0
"""Seconds after which a message that waits for a free process is given back."""


class Window(bootsteps.StartStopStep):  # type: ignore[misc]
    """Let the transport hold what the processes soon work off: `app.steps["consumer"].add(Window)`.

    What waits behind long tasks for `PATIENCE` seconds is given back, for other workers to take. As each receive counts
    towards the queue's `maxReceiveCount`, that happens once to a message: one that was received before stays, invisible
    until it is run. So of N receives N - 1 are runs, but for those that a stop or a crash takes.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self.timer: Any = None

    def start(self, consumer: Any) -> None:
        channel = consumer.task_consumer.channel
        if isinstance(channel, Channel):
            channel.least = channel.window = consumer.pool.num_processes
            self.timer = consumer.timer.call_repeatedly(PATIENCE / 2, give_back, (channel,))

    def stop(self, consumer: Any) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None


def give_back(channel: Channel) -> None:
    """Give back what has waited for too long, for the first time, and is not in the pool yet."""
    now = time.monotonic()
    given = []
    for request in list(state.reserved_requests):
        held = channel.held.get(request.message.delivery_tag)
        waits = request.time_start is None and request._apply_result is None
        if waits and held and held.receives == 1 and now - held.received > PATIENCE:
            # The pool's queue of requests cannot be taken from; when its turn comes, it is passed over.
            request._already_revoked = True
            state.task_ready(request)
            given.append(held.handle)
    if given:
        channel.give_back(given)
