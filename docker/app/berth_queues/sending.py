"""Publish a task as Celery does, without the project: a worker that knows its name runs it."""

from __future__ import annotations

from typing import Any

from berth_queues.settings import Settings, Trouble
from berth_queues.sqs import Queue

LONGEST_S = 900
"""The longest delay of a message on SQS."""


def send(
    settings: Settings, queue: Queue, task: str, args: list[Any], kwargs: dict[str, Any], countdown: float = 0
) -> str:
    """Publish a task, and return its id.

    :param countdown: seconds before which no worker runs it.
    :raises Trouble: Celery is not there, or SQS does not take the message.
    """
    try:
        from celery import Celery
        from kombu.exceptions import KombuError, OperationalError
    except ImportError:
        raise Trouble("Celery is not installed in the project's image") from None
    if not 0 <= countdown <= LONGEST_S:
        raise Trouble(f"`--countdown` takes 0 to {LONGEST_S} seconds, SQS's longest delay, not {countdown:g}")
    app = Celery(broker=settings.broker_url, set_as_current=False)
    app.conf.broker_transport_options = {
        "region": settings.region,
        "is_secure": not (settings.endpoint or "").startswith("http:"),
        "predefined_queues": {queue.name: {"url": queue.url}},
        "client-config": {"connect_timeout": 2, "read_timeout": 5, "retries": {"total_max_attempts": 1}},
    }
    try:
        with app.connection_for_write() as connection:
            sent = app.send_task(
                task, args, kwargs, countdown=countdown or None, queue=queue.name, connection=connection, retry=False
            )
    except (KombuError, OperationalError, OSError) as error:
        raise Trouble(f"{settings.where}: {error}") from None
    except Exception as error:
        # boto3 makes the classes of such errors when it is asked for them.
        if type(error).__module__.partition(".")[0] not in {"botocore", "boto3"}:
            raise
        raise Trouble(f"{settings.where}: {error}") from None
    return str(sent.id)
