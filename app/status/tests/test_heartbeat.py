import os
import signal
import time
from pathlib import Path

from conftest import wait_for
from status.heartbeat import INTERVAL
from status.models import WorkerHeartbeat


def test_worker_beats_from_when_it_is_ready_until_it_stops(worker, environment):
    file = Path(environment["WORKER_HEARTBEAT_FILE"])
    file.touch()
    os.utime(file, (0, 0))
    process, file = worker()
    wait_for(lambda: not file.exists())

    first = wait_for(lambda: file.exists() and file.stat().st_mtime)
    row = wait_for(WorkerHeartbeat.objects.first)
    assert (row.hostname, row.queues) == ("test@worker", "default")
    wait_for(lambda: file.stat().st_mtime > first, seconds=INTERVAL + 2)
    wait_for(lambda: WorkerHeartbeat.objects.get().seen_at > row.seen_at, seconds=INTERVAL + 2)
    process.terminate()
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert not file.exists()
    assert not WorkerHeartbeat.objects.exists()
    assert "test@worker ready." in output


def test_worker_of_production_writes_no_row(worker):
    process, file = worker(DJANGO_SETTINGS_MODULE="app.settings.prod")
    wait_for(file.exists)
    time.sleep(0.5)

    assert not WorkerHeartbeat.objects.exists()
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert '"event": "test@worker ready."' in output


def test_killed_worker_stops_beating(worker):
    process, file = worker()
    wait_for(file.exists)

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    last = file.stat().st_mtime
    time.sleep(INTERVAL + 0.5)

    assert file.stat().st_mtime == last
