"""The Celery app; its settings are Django's, with the prefix `CELERY_`."""

import logging.config

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings
from django_structlog.celery.steps import DjangoStructLogInitStep
from status.heartbeat import HeartbeatStep

from app.environment import require_settings_module

require_settings_module()

app = Celery("app")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Without this, `shared_task` would find this app in the importing thread only.
app.set_default()
app.steps["worker"].update({DjangoStructLogInitStep, HeartbeatStep})


@setup_logging.connect
def configure_logging(**_: object) -> None:
    """Keep Django's logging: a receiver of this signal is how Celery is told to leave it alone."""
    logging.config.dictConfig(settings.LOGGING)
