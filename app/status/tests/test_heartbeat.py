import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import HERE
from status.heartbeat import INTERVAL
from status.models import WorkerHeartbeat


def wait_for(condition, seconds=30):
    """Give what the condition gives as soon as that is true."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return value


@pytest.fixture
def worker(environment, queue_url, transactional_db):
    """Start a worker on a queue of its own; killed after the test."""
    processes = []

    def start(**changes):
        environment.update({"SQS_QUEUE_URLS": f"default={queue_url}", **changes})
        command = [sys.executable, "-W", "ignore", "-m", "celery", "--quiet", "-A", "app", "worker"]
        command += ["--queues", "default", "--concurrency", "1", "--hostname", "test@worker"]
        process = subprocess.Popen(
            command,
            cwd=HERE,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        processes.append(process)
        return process, Path(environment["WORKER_HEARTBEAT_FILE"])

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


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
