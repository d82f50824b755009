"""start-celery-worker.sh and berth_worker.py with a real Celery and a real broker, in a project without Django."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from servers import APP, Broker, running, wait_until

CELERY_APP = """
import os, time
from celery import Celery

app = Celery("shop")
if os.environ["QUEUE"] != "celery":
    app.conf.task_default_queue = os.environ["QUEUE"]
app.conf.update(
    broker_url=os.environ["CELERY_BROKER_URL"],
    broker_transport_options={
        "is_secure": False,
        "region": "us-east-1",
        "predefined_queues": {os.environ["QUEUE"]: {"url": os.environ["QUEUE_URL"]}},
        "wait_time_seconds": 1,
        "polling_interval": 0.1,
    },
    task_acks_late=True,
    task_ignore_result=True,
    worker_enable_remote_control=False,
    worker_prefetch_multiplier=1,
    worker_soft_shutdown_timeout=float(os.environ["WORKER_SOFT_SHUTDOWN_TIMEOUT"]),
)

@app.task(name="nap")
def nap(seconds, path):
    with open(path, "a") as log:
        print("started", file=log, flush=True)
        time.sleep(seconds)
        print("ended", file=log, flush=True)
"""


@pytest.fixture
def worker_environment(container: Any, tmp_path: Path) -> Any:
    """Return a function that gives the environment of a start-celery-worker.sh on a broker."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code/shop.py").write_text(CELERY_APP)

    def environment(broker: Broker, queue: str = "default", **variables: str) -> dict[str, str]:
        return (
            container(
                BERTH_LIB=str(APP),
                WORKER_HEARTBEAT_FILE=str(tmp_path / "heartbeat"),
                WORKER_SOFT_SHUTDOWN_TIMEOUT="1",
                CELERY_BROKER_URL=f"sqs://x:x@127.0.0.1:{broker.port}",
                QUEUE=queue,
                QUEUE_URL=broker.url(queue),
                CELERY_APP="shop",
                CELERY_CONCURRENCY="1",
                PYTHONUNBUFFERED="1",
                PYTHONDONTWRITEBYTECODE="1",
            )
            | variables
        )

    return environment


def publish(environment: dict[str, str], code: Path, seconds: float, log: Path) -> None:
    """Publish the task `nap`."""
    source = f"import shop; shop.nap.delay({seconds!r}, {str(log)!r})"
    subprocess.run([sys.executable, "-c", source], cwd=code, env=environment, check=True)


@pytest.mark.parametrize(("seconds", "expected"), [(2, ["started", "ended"]), (60, ["started"])])
def test_stopped_worker_gives_its_task_a_bounded_time(
    elasticmq: list[str], tmp_path: Path, worker_environment: Any, seconds: int, expected: list[str]
) -> None:
    broker, code, log = Broker(elasticmq, tmp_path), tmp_path / "code", tmp_path / "log"
    environment = worker_environment(broker, WORKER_SOFT_SHUTDOWN_TIMEOUT="3")
    with broker.running():
        publish(environment, code, seconds, log)
        with running(["bash", str(APP / "start-celery-worker.sh")], env=environment, cwd=code) as worker:
            wait_until(log.exists, "the task starts")
            started = time.monotonic()
            worker.send_signal(signal.SIGTERM)

            assert worker.wait(timeout=20) == 0
            assert time.monotonic() - started < 8
        assert log.read_text().split() == expected
        # A task that ended is gone; one that did not is handed back, and not hidden for the whole visibility
        # timeout.
        assert [count for _, count in broker.receive(wait=5)] == ([] if "ended" in expected else [2])


def test_stopped_worker_ends_with_its_last_task_and_begins_none_that_waits(
    elasticmq: list[str], tmp_path: Path, worker_environment: Any
) -> None:
    """Two processes and six tasks; what waits behind those that run is for another worker."""
    broker, code = Broker(elasticmq, tmp_path), tmp_path / "code"
    environment = worker_environment(broker, WORKER_SOFT_SHUTDOWN_TIMEOUT="60", CELERY_CONCURRENCY="2")
    logs = [tmp_path / str(seconds) for seconds in (3, 4, 5, 6, 7, 8)]
    with broker.running():
        with running(["bash", str(APP / "start-celery-worker.sh")], env=environment, cwd=code) as worker:
            wait_until((tmp_path / "heartbeat").exists, "the worker is ready")
            calls = "; ".join(f"shop.nap.delay({log.name}, {str(log)!r})" for log in logs)
            subprocess.run([sys.executable, "-c", f"import shop; {calls}"], cwd=code, env=environment, check=True)
            wait_until(lambda: sum(log.exists() for log in logs) >= 2, "two tasks start")
            worker.send_signal(signal.SIGTERM)

            assert worker.wait(timeout=30) == 0
            ended = max(log.stat().st_mtime for log in logs if log.exists())
            # A second for the worker, and what a busy machine adds.
            assert time.time() - ended < 1 + os.getloadavg()[0] / 5
        begun = [log for log in logs if log.exists()]
        assert [log.read_text().split() for log in begun] == [["started", "ended"]] * len(begun)
        wait_until(lambda: broker.hidden() == 0, "nothing is hidden", limit=5)
        assert len(begun) + len(broker.receive()) == len(logs)


def test_task_on_its_way_into_a_process_is_handed_back_too(
    elasticmq: list[str], tmp_path: Path, worker_environment: Any
) -> None:
    """Celery alone neither waits for it nor cancels it, and then ends with it: see berth_worker.py."""
    broker, code, log = Broker(elasticmq, tmp_path), tmp_path / "code", tmp_path / "log"
    environment = worker_environment(broker)
    with broker.running():
        with running(["bash", str(APP / "start-celery-worker.sh")], env=environment, cwd=code) as worker:
            wait_until((tmp_path / "heartbeat").exists, "the worker is ready")
            (process,) = psutil.Process(worker.pid).children()
            process.suspend()
            publish(environment, code, 60, log)
            wait_until(lambda: broker.hidden() == 1, "the worker has the message")
            worker.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            process.resume()

            assert worker.wait(timeout=20) == 0
        assert [count for _, count in broker.receive(wait=5)] == [2]


def test_edit_restarts_the_worker_and_the_task_that_it_cut_off(
    elasticmq: list[str], tmp_path: Path, worker_environment: Any
) -> None:
    broker, code, log = Broker(elasticmq, tmp_path), tmp_path / "code", tmp_path / "log"
    environment = worker_environment(broker, WORKER_RELOAD="1")
    with broker.running():
        publish(environment, code, 8, log)
        with running(["bash", str(APP / "start-celery-worker.sh")], env=environment, cwd=code) as worker:
            wait_until(log.exists, "the task starts")
            (code / "shop.py").write_text(CELERY_APP.replace('"started"', '"started by new code"'))
            wait_until(lambda: "ended" in log.read_text(), "the new worker ends the task", limit=60)
            worker.send_signal(signal.SIGTERM)

            assert worker.wait(timeout=20) == 0
            output = worker.stdout.read() if worker.stdout else ""
        assert log.read_text().splitlines() == ["started", "started by new code", "ended"]
        assert output.count("Code has changed, restarting..\n") == 1


def test_worker_beats_from_when_it_is_ready_until_it_stops(
    elasticmq: list[str], tmp_path: Path, worker_environment: Any
) -> None:
    broker, code, beat = Broker(elasticmq, tmp_path), tmp_path / "code", tmp_path / "heartbeat"
    beat.touch()
    os.utime(beat, (0, 0))
    with broker.running():
        line = ["bash", str(APP / "start-celery-worker.sh")]
        with running(line, env=worker_environment(broker), cwd=code) as worker:
            # That of a worker that was killed.
            wait_until(lambda: not beat.exists(), "the old heartbeat is gone")
            wait_until(beat.exists, "the worker is ready")
            first = beat.stat().st_mtime
            wait_until(lambda: beat.stat().st_mtime > first, "the worker beats again", limit=5)
            worker.send_signal(signal.SIGTERM)

            assert worker.wait(timeout=20) == 0
        assert not beat.exists()


def test_worker_takes_tasks_from_the_queue_that_the_project_publishes_to(
    elasticmq: list[str], tmp_path: Path, worker_environment: Any
) -> None:
    """Celery's own default, too: `celery`."""
    broker, code, log = Broker(elasticmq, tmp_path), tmp_path / "code", tmp_path / "log"
    environment = worker_environment(broker, queue="celery")
    with broker.running():
        broker.client.create_queue(QueueName="celery")
        publish(environment, code, 0, log)
        with running(["bash", str(APP / "start-celery-worker.sh")], env=environment, cwd=code):
            wait_until(lambda: log.exists() and "ended" in log.read_text(), "the task ends")
