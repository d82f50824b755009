"""The Django project: settings, URLs, and the Celery app.

Django's usual `from .celery import app` here would make every process import Celery, a quarter of a second
of the start of a web server that may never publish a task. So Celery is loaded by the first module that
declares or sends one: `from celery import shared_task` gives this `shared_task`, which sees to it that the
project's app is there first.
"""

from typing import Any

import celery


def shared_task(*args: Any, **options: Any) -> Any:
    """Declare a task, like `celery.shared_task`, after the project's Celery app was made the default."""
    from celery.app import shared_task as declare

    import app.celery  # noqa: F401

    return declare(*args, **options)


celery.shared_task = shared_task
