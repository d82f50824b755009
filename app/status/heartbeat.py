"""Show the welcome page that a Celery worker is alive: SQS has no remote control to ask it with.

Only in development: `StatusConfig` imports this module while `DEBUG` is on.
"""

import threading
from typing import Any

import structlog
from celery.signals import heartbeat_sent
from django.db import DatabaseError, connection

from status.models import WorkerHeartbeat

logger = structlog.get_logger(__name__)

writing = threading.Lock()


@heartbeat_sent.connect
def beat(sender: Any, **_: object) -> None:
    """Say in the database that the worker is alive, every two seconds, from its own loop."""
    events = sender.eventer
    # In a thread, since a database that hangs must not hold the worker's loop; and never in two.
    if writing.acquire(blocking=False):
        queues = ",".join(events.app.amqp.queues.consume_from)
        threading.Thread(target=write, args=[events.hostname, queues], name="heartbeat", daemon=True).start()


def write(hostname: str, queues: str) -> None:
    """Write the row of a worker, on a connection of this thread's own."""
    try:
        WorkerHeartbeat.beat(hostname, queues)
    except DatabaseError as error:
        logger.warning("heartbeat_not_written", error=str(error).strip())
    finally:
        connection.close()
        writing.release()
