import time

from conftest import wait_for
from status.models import WorkerHeartbeat

INTERVAL = 2  # of Celery's own heartbeat, in seconds


def test_worker_beats_while_it_runs(worker):
    process = worker()

    row = wait_for(WorkerHeartbeat.objects.first)
    assert (row.hostname, row.queues) == ("test@worker", "default")
    wait_for(lambda: WorkerHeartbeat.objects.get().seen_at > row.seen_at, seconds=INTERVAL + 2)
    process.kill()
    last = WorkerHeartbeat.objects.get().seen_at
    time.sleep(INTERVAL + 0.5)

    assert WorkerHeartbeat.objects.get().seen_at == last


def test_worker_of_production_writes_no_row(worker):
    process = worker(DJANGO_SETTINGS_MODULE="app.settings.prod")
    time.sleep(0.5)

    assert not WorkerHeartbeat.objects.exists()
    process.stop()
    assert '"event": "test@worker ready."' in process.output
