import csv
import io
import threading

import pytest
from django.db import connection
from django.utils import timezone

from users import tasks
from users.models import CustomUser, UserExport
from users.tasks import COLUMNS, export_users, safe_cell

pytestmark = pytest.mark.django_db(transaction=True)


def rows(export):
    """The lines of a finished export as dictionaries."""
    export.refresh_from_db()
    assert (export.status, export.error) == ("finished", "")
    return list(csv.DictReader(io.StringIO(export.csv, newline="")))


def make_users(count):
    return CustomUser.objects.bulk_create(
        CustomUser(username=f"user{number:04}", email=f"user{number}@example.org") for number in range(count)
    )


def test_export_holds_every_user_in_order(monkeypatch):
    monkeypatch.setattr(tasks, "CHUNK", 10)
    make_users(25)
    export = UserExport.objects.create()

    export_users(export.pk)

    assert [row["username"] for row in rows(export)] == [f"user{number:04}" for number in range(25)]
    assert (export.done, export.total) == (25, 25)
    assert export.started_at <= export.finished_at <= timezone.now()


def test_export_holds_the_selected_users_only():
    users = make_users(5)
    export = UserExport.objects.create(user_ids=[users[1].pk, users[3].pk, users[3].pk + 1000])

    export_users(export.pk)

    assert [row["username"] for row in rows(export)] == ["user0001", "user0003"]


def test_export_of_nobody_is_a_header():
    export = UserExport.objects.create()

    export_users(export.pk)

    export.refresh_from_db()
    assert (export.status, export.total, export.csv) == ("finished", 0, ",".join(COLUMNS) + "\r\n")


def test_export_holds_no_password():
    CustomUser.objects.create_user("ada", password="hunter2")
    export = UserExport.objects.create()

    export_users(export.pk)

    assert list(rows(export)[0]) == COLUMNS
    assert "pbkdf2" not in export.csv


def test_progress_is_seen_by_others_while_the_task_runs(monkeypatch):
    monkeypatch.setattr(tasks, "CHUNK", 10)
    make_users(25)
    export = UserExport.objects.create()
    seen = []

    def look():
        seen.append(UserExport.objects.values_list("status", "done", "total").get())
        connection.close()

    lines = tasks._lines

    def lines_and_look(chunk):
        other = threading.Thread(target=look)
        other.start()
        other.join()
        return lines(chunk)

    monkeypatch.setattr(tasks, "_lines", lines_and_look)
    export_users(export.pk)

    assert seen == [("running", 0, 25), ("running", 0, 25), ("running", 10, 25), ("running", 20, 25)]


def test_finished_export_is_not_done_again():
    export = UserExport.objects.create()
    export_users(export.pk)
    before = UserExport.objects.values().get()
    make_users(3)

    export_users(export.pk)

    assert before["status"] == "finished"
    assert UserExport.objects.values().get() == before


@pytest.mark.parametrize("status", ["running", "failed"])
def test_export_that_a_worker_left_behind_is_begun_anew(status):
    make_users(3)
    export = UserExport.objects.create(
        status=status, done=2, total=9, error="gone", csv="half", finished_at=timezone.now()
    )

    export_users(export.pk)

    assert [row["username"] for row in rows(export)] == ["user0000", "user0001", "user0002"]
    assert (export.done, export.total) == (3, 3)


def test_message_delivered_twice_at_a_time_gives_one_result(monkeypatch):
    make_users(30)
    export = UserExport.objects.create()
    runs = []
    write = tasks._rows
    monkeypatch.setattr(tasks, "_rows", lambda export: runs.append(export.pk) or write(export))

    def work():
        export_users(export.pk)
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert runs == [export.pk]
    assert len(rows(export)) == 30


def test_deleted_export_is_no_error():
    export_users(4711)

    assert not UserExport.objects.exists()


def test_failure_is_told_and_left_to_the_queue(monkeypatch):
    make_users(3)
    export = UserExport.objects.create()

    def fail(chunk):
        raise OSError("hunter2 on /secret/path")

    monkeypatch.setattr(tasks, "_lines", fail)
    with pytest.raises(OSError, match="hunter2"):
        export_users(export.pk)

    export.refresh_from_db()
    assert (export.status, export.error, export.csv) == (
        "failed",
        "The task failed: see the worker's log. The queue delivers it again later.",
        "",
    )
    monkeypatch.undo()
    export_users(export.pk)
    assert len(rows(export)) == 3


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_text_that_a_spreadsheet_would_run_is_disarmed(start):
    payload = f'{start}cmd|"/c calc"!A1, x'
    CustomUser.objects.create(username="mallory", first_name=payload)
    export = UserExport.objects.create()

    export_users(export.pk)

    assert rows(export)[0]["first_name"] == f"'{payload}"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "True"),
        (7, "7"),
        (-7, "'-7"),
        ("Ada", "Ada"),
        ("a=b", "a=b"),
        ("", ""),
        ("'=x", "'=x"),
    ],
)
def test_other_values_stay_as_they_are(value, cell):
    assert safe_cell(value) == cell
