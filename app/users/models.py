"""Users, and the exports of them."""

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models


class CustomUser(AbstractUser):
    """A user of the project: a model of our own from the start, since it cannot be swapped later."""


class UserExport(models.Model):
    """A list of users as CSV, written by the task `export_users`."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"
        FAILED = "failed"

    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False)
    user_ids = models.JSONField(null=True, editable=False, help_text="Which users; null for all of them.")
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED, editable=False)
    done = models.PositiveIntegerField(default=0, editable=False)
    total = models.PositiveIntegerField(null=True, editable=False)
    csv = models.TextField(blank=True, editable=False)
    error = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"Export {self.pk}"

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more unless the task is delivered again."""
        return self.status in (self.Status.FINISHED, self.Status.FAILED)
