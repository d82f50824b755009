"""The Celery app; its settings are Django's, with the prefix `CELERY_`."""

import logging.config
import os
import signal
import threading
import time
from types import FrameType

from celery import Celery
from celery.signals import setup_logging, worker_init, worker_ready
from django.conf import settings
from django_structlog.celery.receivers import CeleryReceiver

from app.environment import require_settings_module
from status.heartbeat import HeartbeatStep

require_settings_module()

app = Celery("app")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Without this, `shared_task` would find this app in the importing thread only.
app.set_default()
app.steps["worker"].add(HeartbeatStep)

# Sends the id of a request along with the tasks that it publishes. The setting that has django-structlog do
# this by itself, DJANGO_STRUCTLOG_CELERY_ENABLED, would import Celery into every process.
receiver = CeleryReceiver()
receiver.connect_signals()


@worker_init.connect
def log_tasks(**_: object) -> None:
    """Log the tasks of a worker, with the id of the request behind each."""
    receiver.connect_worker_signals()


@worker_ready.connect
def stop_between_dispatches(**_: object) -> None:
    """Let a SIGTERM wait, 2 s at most, while a task is on its way into a process of the pool.

    Celery 5.7 neither waits for such a task nor cancels it, and then hangs until it has ended: its message is
    not handed back, and the container is killed (celery.worker.request.Request.cancel).
    """
    # Only a worker pays for this import.
    from celery.worker.state import reserved_requests

    stop = signal.getsignal(signal.SIGTERM)
    first: float | None = None

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        nonlocal first
        first = first or time.monotonic()
        if time.monotonic() < first + 2 and any(request.time_start is None for request in reserved_requests):
            # Only the event loop, which this interrupts, can see the task arrive.
            threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
        else:
            stop(number, frame)

    signal.signal(signal.SIGTERM, on_sigterm)


@setup_logging.connect
def configure_logging(**_: object) -> None:
    """Keep Django's logging: a receiver of this signal is how Celery is told to leave it alone."""
    logging.config.dictConfig(settings.LOGGING)
