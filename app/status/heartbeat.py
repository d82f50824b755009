"""Show that a Celery worker is alive: SQS has no remote control to ask it with."""

import threading
from typing import Any

import structlog
from celery import bootsteps, signals
from django.conf import settings
from django.db import DatabaseError, connection

logger = structlog.get_logger(__name__)

INTERVAL = 3.0
"""Seconds between two beats."""


class HeartbeatStep(bootsteps.StartStopStep):
    """Touch `WORKER_HEARTBEAT_FILE` from the worker's own loop, from the moment it is ready until it stops.

    In development each beat also goes into the database, where the welcome page of another container can
    see it.
    """

    requires = ("celery.worker.components:Timer",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.file = settings.WORKER_HEARTBEAT_FILE
        self.timer = None
        self.row: threading.Thread | None = None

    def start(self, parent: Any) -> None:
        """Wait for the worker to be ready; a file that a killed worker left says nothing about this one."""
        self.worker = parent
        self.file.unlink(missing_ok=True)
        signals.worker_ready.connect(self.begin)

    def begin(self, **_: Any) -> None:
        """Beat now, and go on."""
        self.beat()
        self.timer = self.worker.timer.call_repeatedly(INTERVAL, self.beat)

    def beat(self) -> None:
        """Touch the file; in development, see to the row too."""
        self.file.touch()
        # In a thread, since a database that hangs must not hold the worker's loop.
        if settings.DEBUG and (self.row is None or not self.row.is_alive()):
            self.row = threading.Thread(target=self.write_row, name="heartbeat", daemon=True)
            self.row.start()

    def write_row(self) -> None:
        """Say in the database that this worker was alive just now."""
        from status.models import WorkerHeartbeat

        try:
            WorkerHeartbeat.beat(self.worker.hostname, ",".join(self.worker.app.amqp.queues.consume_from))
        except DatabaseError as error:
            logger.warning("heartbeat_not_written", error=str(error).strip())
        finally:
            connection.close()

    def stop(self, parent: Any) -> None:
        """Remove what says that this worker is alive."""
        signals.worker_ready.disconnect(self.begin)
        if self.timer is not None:
            self.timer.cancel()
        self.file.unlink(missing_ok=True)
        if settings.DEBUG:
            self.forget_row()

    terminate = stop

    def forget_row(self) -> None:
        """Delete this worker's row."""
        from status.models import WorkerHeartbeat

        if self.row is not None:
            self.row.join(timeout=1)
        try:
            WorkerHeartbeat.objects.filter(hostname=self.worker.hostname).delete()
        except DatabaseError as error:
            logger.warning("heartbeat_not_removed", error=str(error).strip())
        finally:
            connection.close()
