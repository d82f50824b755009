"""What start-celery-worker.sh adds to the worker of any project, by `celery worker --include berth_worker`.

Celery imports such a module once the project's app is there and before the worker is made of its steps. Nothing of the
project is asked for, neither code nor a setting; that of Django neither.

SQS_TRANSPORT                   fast_sqs, which is Berth's; kombu: its own, with the project's prefetch (fast_sqs)
WORKER_HEARTBEAT_FILE           file that the worker touches while it is alive (/tmp/celery-worker-heartbeat)
WORKER_SOFT_SHUTDOWN_TIMEOUT    seconds that running tasks get to end after a SIGTERM (the project's setting, else 20)
"""

import gc
import logging
import mmap
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import berth_telemetry
import billiard.pool
import kombu
from celery import Celery, bootsteps, signals
from celery.concurrency import prefork
from celery.worker import state

logger = logging.getLogger(__name__)

HEARTBEAT_FILE = Path(os.environ.get("WORKER_HEARTBEAT_FILE") or "/tmp/celery-worker-heartbeat")
INTERVAL_S = 3.0
GRACE_S = 20.0
DISPATCH_LIMIT_S = 2.0
LOOK_S = 0.05
ending = mmap.mmap(-1, 1)
"""Set once the worker ends with nothing running; its processes, which are forks, see it."""
PREFETCH_MULTIPLIER = 16
TRANSPORT = "fast_sqs:Transport"
KOMBU = (5, 7)
"""The kombu whose inner parts fast_sqs is made for."""


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
def add_steps(sender: Any, **_: object) -> None:
    """Add to the app of this worker, which need not be the last one that was made in this process."""
    berth_telemetry.complain()
    sender.app.steps["worker"].add(Heartbeat)
    if uses_sqs(sender.app):
        quicken(sender.app)


def uses_sqs(app: Celery) -> bool:
    """Whether the broker is SQS, without a FIFO queue, with which fast_sqs is not tried."""
    queues = app.conf.broker_transport_options.get("predefined_queues") or {}
    names = [app.conf.task_default_queue, *queues, *(queue.get("url", "") for queue in queues.values())]
    return app.connection_for_read().transport_cls in ("sqs", TRANSPORT) and not any(map(is_fifo, names))


def is_fifo(queue: str) -> bool:
    """Whether the name or the URL of a queue says that it keeps the order."""
    return queue.endswith(".fifo")


def quicken(app: Celery) -> None:
    """Let the worker receive, acknowledge and extend ten messages a request: see fast_sqs."""
    if os.environ.get("SQS_TRANSPORT") == "kombu":
        app.conf.broker_transport = None
        return
    if kombu.VERSION[:2] != KOMBU:
        app.conf.broker_transport = None
        logger.warning("kombu %s has its own SQS transport: fast_sqs is made for %d.%d", kombu.__version__, *KOMBU)
        return
    from fast_sqs.worker import Window

    app.conf.broker_transport = TRANSPORT
    app.steps["consumer"].add(Window)
    # Its window starts at one message a process, and only grows with tasks that are quick.
    if app.conf.worker_prefetch_multiplier:
        app.conf.worker_prefetch_multiplier = max(PREFETCH_MULTIPLIER, app.conf.worker_prefetch_multiplier)


def warn(consumer: Any, grace: float) -> None:
    """Log what of the settings and the queues will hurt."""
    channel = consumer.task_consumer.channel
    if not hasattr(channel, "attributes"):
        return
    from fast_sqs import checks

    problems = list(checks.of_settings(consumer.app.conf))
    for queue, attributes in channel.attributes.items():
        problems += checks.of_queue(consumer.app.conf, queue, attributes, grace)
    for problem in problems:
        logger.warning("%s (%s): %s", problem.text, problem.id, problem.hint)


class Drain:
    """A stop that takes nothing more, and ends with the last task that runs; REMAP_SIGTERM=SIGQUIT asks for it.

    Celery's soft shutdown (5.7.0) sleeps its whole time in the handler of the signal: what ends meanwhile is neither
    seen nor acknowledged, and tasks that wait for a process begin. Here the worker's loop goes on. Once nothing runs,
    or the time is over, Celery's own cold shutdown follows: it cancels what still runs, and hands that back to the
    broker, together with what was reserved.
    """

    def __init__(self, consumer: Any, stop: Any) -> None:
        self.consumer, self.cold, self.asked = consumer, stop, False
        conf = consumer.app.conf
        configured = os.environ.get("WORKER_SOFT_SHUTDOWN_TIMEOUT") or conf.worker_soft_shutdown_timeout or GRACE_S
        self.grace = float(configured)
        warn(consumer, self.grace)

    def on_signal(self, *_: object) -> None:
        """Begin in the loop, which this interrupts wherever it is. A second signal ends the tasks at once."""
        if self.asked:
            self.finish()
            return
        self.asked = True
        self.end = time.monotonic() + self.grace
        # A thread, as it may wait for a lock of the loop, and wakes it.
        threading.Thread(target=self.consumer.hub.call_soon, args=[self.begin], daemon=True).start()
        # For a loop that hangs.
        limit = threading.Timer(self.grace + DISPATCH_LIMIT_S + 1, os.kill, [os.getpid(), signal.SIGTERM])
        limit.daemon = True
        limit.start()

    def begin(self) -> None:
        """Take no more messages."""
        running = len(self.running())
        logger.warning("Stopping: no more tasks are taken, the %d that run have %g s to end", running, self.grace)
        channel = self.consumer.task_consumer.channel
        if hasattr(channel, "drain"):
            channel.drain()
        elif hasattr(getattr(channel, "qos", None), "can_consume"):
            channel.qos.can_consume = lambda: False
        else:
            self.consumer.task_consumer.cancel()
        self.timer = self.consumer.timer.call_repeatedly(LOOK_S, self.look)
        self.look()

    def look(self) -> None:
        """Pass over what waits for a process; go on with the stop once nothing runs, or the time is over."""
        channel = self.consumer.task_consumer.channel
        waiting = set(state.reserved_requests) - self.running()
        for request in waiting:
            # It cannot be taken out of the queue in front of the pool; when its turn comes, it is passed over.
            request._already_revoked = True
            state.task_ready(request)
        if waiting and hasattr(channel, "give_back"):
            channel.give_back([request.message.delivery_tag for request in waiting])
        running, over = self.running(), time.monotonic() - self.end
        if over < 0 and (running or not getattr(channel, "settled", True)):
            return
        # Which process has a task, and is to be killed for it, the worker knows once it has read that process's answer,
        # which sets time_start. A task without is neither cancelled nor waited for by Celery 5.7.0: the pool then joins
        # the process until the task has ended by itself, and the message is not handed back. No report of it was found
        # upstream; the nearest are https://github.com/celery/celery/pull/9213, which made this shutdown, and #10667.
        if over < DISPATCH_LIMIT_S and any(request.time_start is None for request in running):
            return
        self.timer.cancel()
        self.finish()

    def running(self) -> set[Any]:
        """Return what the pool has: tasks that run, and those on their way into a process."""
        return {request for request in state.reserved_requests if request._apply_result is not None}

    def finish(self) -> None:
        """Leave the rest to Celery, without its sleep."""
        if not self.running():
            # The flag that its handler sets in the end; what that does before is for tasks, and takes its time.
            ending[0] = 1
            pool = self.consumer.pool
            if isinstance(pool, prefork.TaskPool):
                # Both of Celery's own ways to end a pool wait half a second for tasks that may be left in its pipes.
                pool._pool.close()
                pool._pool.join()
                pool._pool = None
            # The interpreter would look twice at all that is there for what could be freed: half a second of its end.
            gc.freeze()
            state.should_terminate = 0
            return
        self.consumer.app.conf.worker_soft_shutdown_timeout = 0
        self.cold(signal.SIGTERM, None)


@signals.worker_process_shutdown.connect
def end_at_once(**_: object) -> None:
    """Let a process of the pool that is idle end without the second that billiard (4.3) lets it sleep.

    It does so for the worker to read that the process is gone, which a worker that ends does not do.
    """
    if ending[0]:
        billiard.pool.time = SimpleNamespace(sleep=lambda seconds: None)


@signals.worker_process_init.connect
def send_telemetry(**_: object) -> None:
    """Start OpenTelemetry in a process of the pool, where it is asked for."""
    berth_telemetry.start("worker")


@signals.worker_process_shutdown.connect
def send_the_last_telemetry(**_: object) -> None:
    """Send what it has not sent yet: such a process ends without the functions of atexit."""
    berth_telemetry.flush()


@signals.worker_ready.connect
def stop_with_the_last_task(sender: Any, **_: object) -> None:
    """Put Drain in front of Celery's shutdown; a pool that has no event loop of Celery's keeps that."""
    stop = signal.getsignal(signal.SIGTERM)
    if os.environ.get("REMAP_SIGTERM") == "SIGQUIT" and callable(stop) and sender.hub:
        signal.signal(signal.SIGTERM, Drain(sender, stop).on_signal)
