"""Fixtures of the Django tests. They use the real database and the real broker that the environment names.

A test whose service cannot be reached is skipped with the reason, or fails if `BERTH_REQUIRE_SERVICES` is 1.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import django
import psycopg2
import pytest

HERE = Path(__file__).parent

# A bare `pytest` in a checkout: development settings, and the ports that the stack publishes. If the
# settings module is in the environment, pytest-django has read the settings by now, and everything else has
# to be there too.
if not os.environ.get("DJANGO_SETTINGS_MODULE"):
    defaults = {
        "DJANGO_SETTINGS_MODULE": "app.settings.local",
        "SECRET_KEY": "only-for-tests-" + "0123456789abcdefghijklmnopqrstuvwxyz",
        "DB_HOST": "127.0.0.1",
        "DB_NAME": "postgres",
        "DB_USER": "postgres",
        "DB_PASSWORD": "postgres",
        "CELERY_BROKER_URL": "sqs://127.0.0.1:9324",
        "SQS_QUEUE_URLS": "default=http://127.0.0.1:9324/000000000000/default",
        "AWS_REGION": "elasticmq",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    os.environ.update({name: value for name, value in defaults.items() if not os.environ.get(name)})
    django.setup()

# Seconds after which a message that a dead worker had is delivered again.
VISIBILITY = {"Attribute.1.Name": "VisibilityTimeout", "Attribute.1.Value": "4"}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def without(service: str, error: Exception) -> None:
    """Skip the test, or fail it where services are required."""
    reason = f"{service} cannot be reached: {' '.join(str(error).split())}"
    if os.environ.get("BERTH_REQUIRE_SERVICES") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(reachable: None, migrated_template: None) -> None:
    """What is to be done before pytest-django creates a database, or one for each worker of `pytest -n`."""


@pytest.fixture(scope="session")
def reachable() -> None:
    """See whether there is a server."""
    from django.db import connection

    try:
        psycopg2.connect(**connection.get_connection_params()).close()
    except psycopg2.OperationalError as error:
        without("the database", error)


@pytest.fixture(scope="session")
def migrated_template(
    reachable: None,
    django_db_modify_db_settings_parallel_suffix: None,
    django_test_environment: None,
    django_db_blocker: Any,
    django_db_keepdb: bool,
    django_db_use_migrations: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Let the databases of all workers be copies of one that was migrated once: see TEMPLATE in Django's settings."""
    if not os.environ.get("PYTEST_XDIST_WORKER") or django_db_keepdb or not django_db_use_migrations:
        yield
        return
    from django.db import connection

    name, test = connection.settings_dict["NAME"], connection.settings_dict["TEST"]
    template, folder = f"test_{name}_template", tmp_path_factory.getbasetemp().parent
    with counted_workers(folder, +1) as workers, django_db_blocker.unblock():
        if workers == 1:
            with mock.patch.dict(test, NAME=template):
                connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
            # Nobody may be in a database that is copied.
            connection.close()
            connection.settings_dict["NAME"] = name
    with mock.patch.dict(test, TEMPLATE=template):
        yield
    with counted_workers(folder, -1) as workers, django_db_blocker.unblock():
        if workers == 0:
            connection.settings_dict["NAME"] = template
            connection.creation.destroy_test_db(name, verbosity=0)


@contextmanager
def counted_workers(folder: Path, step: int) -> Iterator[int]:
    """Give the number of workers that use the template, with this one or without it; the others wait meanwhile."""
    with (folder / "workers").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        workers = int(file.read() or 0) + step
        yield workers
        file.truncate(0)
        file.write(str(workers))


@pytest.fixture(autouse=True)
def as_served_to_the_test_client(settings) -> None:
    """Let the test client in under production settings too: it speaks plain HTTP."""
    settings.SECURE_SSL_REDIRECT = False
    if not (settings.STATIC_ROOT / "staticfiles.json").exists():
        plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
        settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
        settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("whitenoise.")]


@pytest.fixture
def environment(settings, db_parameters) -> dict[str, str]:
    """A complete and sound environment of a process of its own."""
    inherited = (
        "PATH",
        "HOME",
        "LANG",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "PYTHONDONTWRITEBYTECODE",
        "COVERAGE_PROCESS_START",
    )
    return {
        **{name: os.environ[name] for name in inherited if name in os.environ},
        "DJANGO_SETTINGS_MODULE": "app.settings.local",
        "SECRET_KEY": "".join(chr(65 + number) for number in range(26)) * 2,
        "ALLOWED_HOSTS": "example.org",
        **db_parameters,
        "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
        "SQS_QUEUE_URLS": ",".join(f"{name}={url}" for name, url in settings.SQS_QUEUE_URLS.items()),
        "AWS_REGION": "elasticmq",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }


@pytest.fixture
def db_parameters() -> dict[str, str]:
    """The `DB_*` variables of this process' database: the test database, in tests that ask for one."""
    from django.db import connection

    names = {
        "HOST": "DB_HOST",
        "PORT": "DB_PORT",
        "NAME": "DB_NAME",
        "USER": "DB_USER",
        "PASSWORD": "DB_PASSWORD",
    }
    return {variable: str(connection.settings_dict[name]) for name, variable in names.items()}


@contextmanager
def database_at(port: int) -> Iterator[None]:
    """Take the database of this process for one on another port of this machine, where there is none."""
    from django.db import connection

    connection.close()
    with mock.patch.dict(connection.settings_dict, HOST="127.0.0.1", PORT=str(port)):
        yield
    connection.close()


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Run Python with the environment, some variables changed; None removes one."""

    def run_python(*arguments: str, **changes: str | None) -> "subprocess.CompletedProcess[str]":
        variables = {name: value for name, value in {**environment, **changes}.items() if value is not None}
        return subprocess.run(
            [sys.executable, *arguments], cwd=HERE, env=variables, text=True, capture_output=True, timeout=60
        )

    return run_python


def ask_sqs(url: str, **form: str) -> str:
    """Send an unsigned request to a local SQS server."""
    data = urllib.parse.urlencode({"Version": "2012-11-05", **form}).encode()
    with urllib.request.urlopen(url, data, timeout=5) as answer:
        return answer.read().decode()


@pytest.fixture
def queue_url(settings) -> Iterator[str]:
    """A queue that no other worker listens to."""
    server = settings.SQS_QUEUE_URLS["default"].rsplit("/", 2)[0]
    name = f"test-{uuid.uuid4().hex}"
    try:
        ask_sqs(server, Action="CreateQueue", QueueName=name, **VISIBILITY)
    except OSError as error:
        without("the broker", error)
    url = f"{server}/000000000000/{name}"
    yield url
    ask_sqs(url, Action="DeleteQueue")


@pytest.fixture
def celery_configured():
    """Change settings of the Celery app of this process, and take the changes back in the end."""
    from app.celery import app

    def forget_connections() -> None:
        app._pool = None
        app.amqp._producer_pool = None

    before: dict[str, object] = {}

    def configure(**changes: object) -> None:
        for name, value in changes.items():
            before.setdefault(name, app.conf[name])
            app.conf[name] = value
        forget_connections()

    yield configure
    app.conf.update(before)
    forget_connections()


@pytest.fixture
def queue(settings, queue_url: str, celery_configured) -> str:
    """The queue that this process publishes to: one of the test's own; its URL."""
    options = {
        **settings.CELERY_BROKER_TRANSPORT_OPTIONS,
        "predefined_queues": {"default": {"url": queue_url}},
    }
    celery_configured(broker_transport_options=options)
    return queue_url


def wait_for(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Give what the condition gives as soon as that is true."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return value


class Worker:
    """A running Celery worker; what it prints is in a file."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log
        command = [sys.executable, "-W", "ignore", "-m", "celery", "--quiet", "-A", "app", "worker"]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*command, "--concurrency", "1", "--hostname", "test@worker"],
                cwd=HERE,
                env=environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str) -> None:
        """Return once the worker has printed a text."""
        wait_for(lambda: text in self.output)

    def stop(self) -> None:
        """Tell the worker to stop, and wait until it has ended well."""
        self.process.terminate()
        assert self.process.wait(timeout=30) == 0, self.output

    def kill(self) -> None:
        """Kill the worker with its children, unless it has ended."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def worker(environment: dict[str, str], queue_url: str, transactional_db: None, tmp_path: Path) -> Iterator[Callable]:
    """Start a worker on a queue of its own, and wait until it is ready; killed after the test."""
    workers: list[Worker] = []

    def start(**changes: str) -> Worker:
        variables = {**environment, "SQS_QUEUE_URLS": f"default={queue_url}", **changes}
        workers.append(Worker(variables, tmp_path / f"worker-{len(workers)}.log"))
        workers[-1].wait_for("test@worker ready.")
        return workers[-1]

    yield start
    for started in workers:
        started.kill()
