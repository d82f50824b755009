"""Work that a request should not wait for."""

import csv
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from celery import shared_task
from django.db import connection
from django.utils import timezone

from users.models import CustomUser, UserExport

logger = structlog.get_logger(__name__)

COLUMNS = [
    "id",
    "username",
    "email",
    "first_name",
    "last_name",
    "is_active",
    "is_staff",
    "date_joined",
    "last_login",
]

CHUNK = 500
"""Users between two reports of progress."""

# What spreadsheets take for the start of a formula, the full-width forms included:
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

# The first half of the key of the advisory lock of an export; the second is its primary key.
LOCK = 7033


@shared_task
def export_users(export_id: int) -> None:
    """Write the CSV of an export, chunk by chunk, with its progress in the row.

    SQS may deliver a message twice, and delivers it again after a failure: a finished export is left as it
    is, any other is begun anew, and two workers on the same one take turns.

    :param export_id: primary key of the `UserExport`.
    """
    with _only_one(export_id):
        export = UserExport.objects.filter(pk=export_id).first()
        if export is None:
            logger.warning("export_deleted", export=export_id)
            return
        if export.status == UserExport.Status.FINISHED:
            return
        _save(
            export,
            status=export.Status.RUNNING,
            started_at=timezone.now(),
            finished_at=None,
            done=0,
            error="",
        )
        try:
            text = "".join(_rows(export))
        except Exception:
            _save(
                export,
                status=export.Status.FAILED,
                finished_at=timezone.now(),
                error="The task failed: see the worker's log. The queue delivers it again later.",
            )
            raise
        _save(export, status=export.Status.FINISHED, finished_at=timezone.now(), csv=text, done=export.total)


def safe_cell(value: object) -> str:
    """Give a value as text that no spreadsheet runs as a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _rows(export: UserExport) -> Iterator[str]:
    """Yield the header, then each chunk of lines; the row tells the progress between them."""
    users = CustomUser.objects.order_by("pk")
    if export.user_ids is not None:
        users = users.filter(pk__in=export.user_ids)
    _save(export, total=users.count())
    yield _lines([COLUMNS])
    last = 0
    while chunk := list(users.filter(pk__gt=last).values_list(*COLUMNS)[:CHUNK]):
        last = chunk[-1][0]
        yield _lines(chunk)
        # Users may have come since they were counted.
        done = export.done + len(chunk)
        _save(export, done=done, total=max(export.total, done))
    _save(export, total=export.done)


def _lines(rows: list) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([safe_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _save(export: UserExport, **values: object) -> None:
    for name, value in values.items():
        setattr(export, name, value)
    export.save(update_fields=values)


@contextmanager
def _only_one(export_id: int) -> Iterator[None]:
    """Hold the advisory lock of an export; it goes with the connection if the process dies.

    Who waits asks again and again: a statement that waits in the server could not be interrupted when the
    worker is told to stop.
    """
    while not _ask("pg_try_advisory_lock", export_id):
        time.sleep(0.2)
    try:
        yield
    finally:
        _ask("pg_advisory_unlock", export_id)


def _ask(function: str, export_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s)", [LOCK, export_id])
        return cursor.fetchone()[0]
