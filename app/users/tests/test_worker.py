"""The export with a worker of its own, over the real broker."""

import json
import time

from django.db import connection

from conftest import wait_for
from status import readiness
from users.models import CustomUser, UserExport
from users.tasks import LOCK, export_users

# Seconds. The poll that a dead worker left behind may take the message once more, for the queue's timeout of 4 s.
REDELIVERY = 30

EMPTY = {"waiting": 0, "in_flight": 0}


def test_export_started_in_the_admin_runs_in_the_worker(worker, queue, admin_client):
    CustomUser.objects.create(username="ada")
    process = worker(DJANGO_SETTINGS_MODULE="app.settings.prod")

    admin_client.post("/admin/users/customuser/export/")
    export = UserExport.objects.get()
    wait_for(lambda: UserExport.objects.get().status == "finished", seconds=10)

    assert b",ada," in admin_client.get(f"/admin/users/userexport/{export.pk}/download/").content
    wait_for(lambda: readiness._queue_counts(queue, 5) == EMPTY, seconds=10)
    process.stop()
    lines = [json.loads(line) for line in process.output.splitlines() if "task_id" in line]
    assert [line["event"] for line in lines] == ["task_started", "task_succeeded"]
    assert lines[0]["task"] == "users.tasks.export_users"
    # The id of the request that published the task.
    assert lines[0]["request_id"] == lines[1]["request_id"]


def test_export_of_a_killed_worker_is_delivered_again_and_done_once(worker, queue):
    export = UserExport.objects.create()
    first = worker()
    with connection.cursor() as cursor:
        # Holds the first worker in the middle of its task.
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK, export.pk])
        export_users.delay(export.pk)
        wait_for(lambda: readiness._queue_counts(queue, 5)["in_flight"] == 1, seconds=10)
        first.kill()
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK, export.pk])
    assert UserExport.objects.get().status == "queued"

    worker()
    wait_for(lambda: UserExport.objects.get().status == "finished", seconds=REDELIVERY)
    wait_for(lambda: readiness._queue_counts(queue, 5) == EMPTY, seconds=10)


def test_worker_that_is_told_to_stop_gives_its_task_back(worker, queue):
    """As with `REMAP_SIGTERM=SIGQUIT` of `start-celery-worker.sh`."""
    export = UserExport.objects.create()
    process = worker(REMAP_SIGTERM="SIGQUIT", WORKER_SOFT_SHUTDOWN_TIMEOUT="1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK, export.pk])
        export_users.delay(export.pk)
        process.wait_for("task_started")
        start = time.monotonic()
        process.stop()
        # The second for tasks, and what the worker needs to hand its message back and to end.
        assert time.monotonic() - start < 15, process.output
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK, export.pk])

    assert "Restoring 1 unacknowledged message(s)" in process.output

    worker(REMAP_SIGTERM="SIGQUIT")
    wait_for(lambda: UserExport.objects.get().status == "finished", seconds=REDELIVERY)
