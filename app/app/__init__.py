"""The Django project: settings, URLs, and the Celery app."""

# So that the app is there when Django starts, and `shared_task` uses it:
# https://docs.celeryq.dev/en/stable/django/first-steps-with-django.html
from .celery import app as celery_app

__all__ = ("celery_app",)
