"""The Celery app; its settings are Django's, with the prefix `CELERY_`."""

import logging.config

from celery import Celery
from celery.signals import setup_logging, worker_init
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


@setup_logging.connect
def configure_logging(**_: object) -> None:
    """Keep Django's logging: a receiver of this signal is how Celery is told to leave it alone."""
    logging.config.dictConfig(settings.LOGGING)
