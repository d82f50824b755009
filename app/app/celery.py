"""The Celery app; its settings are Django's, with the prefix `CELERY_`."""

import logging.config

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings
from django_structlog.celery.steps import DjangoStructLogInitStep

from app.environment import require_settings_module

require_settings_module()

app = Celery("app")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Logs the tasks of a worker, with the id of the request behind each:
# https://django-structlog.readthedocs.io/en/latest/celery.html
app.steps["worker"].add(DjangoStructLogInitStep)
app.autodiscover_tasks()


@setup_logging.connect
def configure_logging(**_: object) -> None:
    """Keep Django's logging: a receiver of this signal is how Celery is told to leave it alone."""
    logging.config.dictConfig(settings.LOGGING)
