"""What start-celery-worker.sh adds to the worker of any project, by `celery worker --include berth_worker`.

Celery imports such a module once the project's app is there and before the worker is made of its steps. Nothing of the
project is asked for, neither code nor a setting; that of Django neither.

WORKER_HEARTBEAT_FILE    file that the worker touches while it is alive (/tmp/celery-worker-heartbeat)
"""

import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from celery import bootsteps, signals
from celery.worker.state import reserved_requests

HEARTBEAT_FILE = Path(os.environ.get("WORKER_HEARTBEAT_FILE") or "/tmp/celery-worker-heartbeat")
INTERVAL_S = 3.0
DISPATCH_LIMIT_S = 2.0


class Heartbeat(bootsteps.StartStopStep):
    """Touch HEARTBEAT_FILE from the worker's own loop, from the moment it is ready until it stops.

    A step, as in https://docs.celeryq.dev/en/stable/userguide/extending.html: a broker such as SQS has no remote
    control to ask a worker with, and none sees a loop that hangs.
    """

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.timer = None

    def start(self, worker: Any) -> None:
        """Wait for the worker to be ready; a file that a killed worker left says nothing about this one."""
        self.worker = worker
        HEARTBEAT_FILE.unlink(missing_ok=True)
        signals.worker_ready.connect(self.begin)

    def begin(self, **_: object) -> None:
        """Beat now, and go on."""
        HEARTBEAT_FILE.touch()
        self.timer = self.worker.timer.call_repeatedly(INTERVAL_S, HEARTBEAT_FILE.touch)

    def stop(self, worker: Any) -> None:
        """Remove what says that this worker is alive."""
        signals.worker_ready.disconnect(self.begin)
        if self.timer is not None:
            self.timer.cancel()
        HEARTBEAT_FILE.unlink(missing_ok=True)

    terminate = stop


@signals.worker_init.connect
def add_heartbeat(sender: Any, **_: object) -> None:
    """Add the step to the app of this worker, which need not be the last one that was made in this process."""
    sender.app.steps["worker"].add(Heartbeat)


@signals.worker_ready.connect
def stop_between_dispatches(**_: object) -> None:
    """Let a SIGTERM wait, DISPATCH_LIMIT_S at most, while a task is on its way into a process of the pool.

    A workaround for the cold shutdown of Celery 5.7.0, that of REMAP_SIGTERM=SIGQUIT. It cancels a task by
    killing the process that runs it (celery.worker.request.Request.cancel). Which one that is, the worker knows only
    once it has read the process's answer, which sets Request.time_start. A task whose answer is under way is neither
    cancelled nor waited for: the pool then joins that process until the task has ended by itself, its message is not
    handed back to the broker, and the container is killed. No report of it was found upstream; the nearest are
    https://github.com/celery/celery/pull/9213, which made this shutdown, and #10667, on a task that it cancels.
    """
    stop = signal.getsignal(signal.SIGTERM)
    if os.environ.get("REMAP_SIGTERM") != "SIGQUIT" or not callable(stop):
        return
    first: float | None = None

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        nonlocal first
        first = first or time.monotonic()
        under_way = any(request.time_start is None for request in reserved_requests)
        if under_way and time.monotonic() < first + DISPATCH_LIMIT_S:
            # Only the event loop, which this interrupts, can see the task arrive.
            threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
        else:
            stop(number, frame)

    signal.signal(signal.SIGTERM, on_sigterm)
