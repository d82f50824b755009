"""For `INSTALLED_APPS = [..., "fast_sqs"]`: its checks are Django's."""

from typing import Any

from celery import current_app
from django.apps import AppConfig
from django.core import checks

from fast_sqs.checks import of_settings


class FastSqsConfig(AppConfig):  # type: ignore[misc]
    name = "fast_sqs"

    def ready(self) -> None:
        checks.register(check, "celery")


def check(**_: Any) -> list[checks.CheckMessage]:
    """Return the problems of the Celery application that the project has made."""
    return [checks.Warning(found.text, found.hint, id=found.id) for found in of_settings(current_app.conf)]
