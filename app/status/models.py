"""What workers say about themselves in development."""

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now


class WorkerHeartbeat(models.Model):
    """The last sign of life of a Celery worker; `status.heartbeat` writes it, in development only."""

    hostname = models.CharField(max_length=255, primary_key=True)
    queues = models.CharField(max_length=1000)
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.hostname

    @classmethod
    def beat(cls, hostname: str, queues: str) -> None:
        """Say that a worker is alive now, by the clock of the database.

        :param hostname: name of the worker, `celery@host`.
        :param queues: the queues it takes tasks from, with commas between them.
        """
        cls.objects.filter(seen_at__lt=Now() - timedelta(days=1)).delete()
        cls.objects.update_or_create(hostname=hostname, defaults={"queues": queues, "seen_at": Now()})
