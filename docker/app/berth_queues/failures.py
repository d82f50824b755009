"""What the worker of any project tells the page of tasks that fail, by `celery worker --include berth_queues.failures`.

SQS keeps nothing of why a task failed. So the process that ran it sends the traceback to the page, which keeps the
last ones in memory and shows them beside the dead letters.

QUEUES_URL    URL of the page; unset or empty: nothing is sent
"""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.request
from typing import Any

from celery import signals

LIMIT_S = 1.0
HEADER = "X-Worker"
"""No web site can send it without being allowed to, which it is not."""
PATH = "/api/failures"
TEXT_LIMIT = 20_000

logger = logging.getLogger(__name__)


@signals.task_failure.connect
def tell(sender: Any = None, task_id: str = "", einfo: Any = None, **_: object) -> None:
    """Send a task's traceback; the task has ended, and its message is none of our business."""
    url = os.environ.get("QUEUES_URL")
    if not url:
        return
    text = str(getattr(einfo, "traceback", einfo))
    failure = {"task_id": task_id, "task": getattr(sender, "name", None), "at": time.time(), "text": text[-TEXT_LIMIT:]}
    request = urllib.request.Request(
        url.rstrip("/") + PATH, json.dumps(failure).encode(), {"Content-Type": "application/json", HEADER: "1"}
    )
    try:
        # Not by a proxy: it is a service of the same stack.
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=LIMIT_S).close()
    except OSError as error:
        logger.info("the page of the queues at %s did not take a traceback: %s", url, error)
