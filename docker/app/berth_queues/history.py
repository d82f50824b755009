"""Look at the queues every few seconds, and remember the last hour."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from berth_queues.settings import Trouble
from berth_queues.sqs import Queue

INTERVAL_S = 5.0
KEPT_S = 3600
FRESH_S = 1.0
"""A second look within this time gets the answer of the first."""
RATE_S = 60.0
"""The time over which the change of a queue is taken."""

Counts = tuple[int, int, int]
"""Messages that wait, that are in flight and that are delayed."""


class History:
    """What the queues held, and what they hold now.

    SQS tells neither rates nor ages but to CloudWatch. A rate here is the change of a queue's depth; and where a queue
    was seen empty, nothing in it can be older than that.

    :param look: returns the queues.
    """

    def __init__(self, look: Callable[[], Sequence[Queue]], *, now: Callable[[], float] = time.time) -> None:
        self._look = look
        self._now = now
        self._lock = threading.Lock()
        self._points: deque[tuple[float, dict[str, Counts]]] = deque(maxlen=int(KEPT_S / INTERVAL_S))
        self._empty_at: dict[str, float] = {}
        self._latest: dict[str, Any] = {}
        self._at = 0.0

    def watch(self) -> None:
        """Look for ever."""
        while True:
            self.latest()
            time.sleep(INTERVAL_S)

    def latest(self) -> dict[str, Any]:
        """Return the queues as they are now, or what is wrong."""
        with self._lock:
            now = self._now()
            if now - self._at < FRESH_S and self._latest:
                return self._latest
            try:
                queues = self._look()
            except Trouble as trouble:
                self._latest = {"at": now, "error": str(trouble), "queues": []}
            else:
                self._remember(now, {queue.name: _counts(queue) for queue in queues if not queue.problem})
                self._latest = {
                    "at": now,
                    "error": None,
                    "queues": [
                        queue.as_dict()
                        | {"oldest_at_most": self._oldest(queue, now), "change": self._change(queue.name, now)}
                        for queue in queues
                    ],
                }
            # Not `now`: an answer that took long is as fresh as its end.
            self._at = self._now()
            return self._latest

    def forget(self) -> None:
        """Let the next look ask anew, after something was changed."""
        self._at = 0.0

    def points(self) -> dict[str, Any]:
        """Return the last hour: the times, and for each queue what it held then, None where nobody knows."""
        with self._lock:
            names = sorted({name for _, counts in self._points for name in counts})
            return {
                "times": [round(at, 1) for at, _ in self._points],
                "queues": {
                    name: [
                        [counts[name][kind] if name in counts else None for _, counts in self._points]
                        for kind in range(3)
                    ]
                    for name in names
                },
            }

    def _remember(self, now: float, counts: Mapping[str, Counts]) -> None:
        for name, held in counts.items():
            if sum(held) == 0:
                self._empty_at[name] = now
        if not self._points or now - self._points[-1][0] >= INTERVAL_S * 0.9:
            self._points.append((now, dict(counts)))

    def _oldest(self, queue: Queue, now: float) -> float | None:
        """Return the seconds that no message of the queue can be older than; None: nobody knows, or there is none."""
        if queue.total == 0 or queue.name not in self._empty_at:
            return None
        return round(now - self._empty_at[queue.name], 1)

    def _change(self, name: str, now: float) -> float | None:
        """Return by how many messages a minute the queue grew or, below 0, shrank; None: not known yet."""
        known = [(at, sum(counts[name])) for at, counts in self._points if name in counts and now - at <= RATE_S]
        if len(known) < 2 or known[-1][0] - known[0][0] < INTERVAL_S:
            return None
        return round((known[-1][1] - known[0][1]) * 60 / (known[-1][0] - known[0][0]), 1)


def _counts(queue: Queue) -> Counts:
    return queue.visible, queue.in_flight, queue.delayed
