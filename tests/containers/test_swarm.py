"""`inv deploy` on a swarm of one node: under load no request fails, and a broken version never serves one."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from containers.checkout import PATIENCE, Checkout, checkout, docker, free_port, ok, within

pytestmark = pytest.mark.containers

FILES = ":".join(f"docker/docker-compose{name}.yml" for name in ("", ".prod", ".swarm", ".demo"))
HOST = "shop.example.com"
ROUNDS = int(os.environ.get("BERTH_DEPLOY_ROUNDS", "2"))
"""Deployments in a row under load; 5 for the full proof."""

# Stops all replicas before new ones start: what a deployment must not do.
STOP_FIRST = "services: {app: {deploy: {update_config: {order: stop-first, parallelism: 0}}}}"
# A column that the running version would give no value.
UNSAFE = (
    "from django.db import migrations, models; "
    'columns = [migrations.AddField("UserExport", "price", models.IntegerField(default=0))]; '
    'Migration = type("Migration", (migrations.Migration,), '
    '{"dependencies": [("users", "0001_initial")], "operations": columns})'
)


class Load:
    """Steady requests by several clients, half of which keep their connections; what does not answer 200 is kept."""

    CLIENTS = 4
    PAUSE = 0.1

    def __init__(self, port: int) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number % 2 == 0,)) for number in range(self.CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, keep: bool) -> None:
        connection = None
        while not self._stop.is_set():
            connection = connection or connect(self._port)
            try:
                status = ask(connection, "/admin/login/")
                said = "" if status == 200 else f"{time.strftime('%H:%M:%S')} {status}"
            except (OSError, http.client.HTTPException) as error:
                said = f"{time.strftime('%H:%M:%S')} {error!r}"
            if said:
                self.failed.append(said)
            self.answered += 1
            if said or not keep:
                connection.close()
                connection = None
            self._stop.wait(self.PAUSE)
        if connection is not None:
            connection.close()


def connect(port: int) -> http.client.HTTPSConnection:
    # The certificate is the test's own.
    return http.client.HTTPSConnection("127.0.0.1", port, context=ssl._create_unverified_context(), timeout=30)


def ask(connection: http.client.HTTPSConnection, path: str) -> int:
    connection.request("GET", path, headers={"Host": HOST})
    response = connection.getresponse()
    response.read()
    return response.status


class Site(Checkout):
    """A checkout that deploys to a stack of its own."""

    https: int

    @property
    def stack(self) -> str:
        return f"{self.name}-live"

    def deploy(self, image: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Put an image into service; on a busy machine that takes its time."""
        return subprocess.run(
            self.task("deploy", "--image", image, *options),
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def version(self, name: str, change: str = "") -> str:
        """Make another released image, by lines of a Dockerfile; return its name."""
        image = f"{self.name}-app:{name}"
        dockerfile = f"FROM {self.name}-app:prod\nLABEL version={name}\n{change}\n"
        made = subprocess.run(["docker", "build", "-q", "-t", image, "-"], input=dockerfile, text=True, check=False)
        assert made.returncode == 0
        return image

    def replicas(self, service: str) -> str:
        """Return how many replicas run, and how many are to."""
        name = f"name={self.stack}_{service}"
        return docker("service", "ls", "--filter", name, "--format", "{{.Replicas}}").stdout.strip()

    def serving(self) -> set[str]:
        """Return the images of the replicas that run and are to go on."""
        # Old replicas that drain are to be shut down.
        wanted = ["--filter", "desired-state=running", "--format", "json"]
        rows = docker("service", "ps", f"{self.stack}_app", *wanted).stdout.splitlines()
        return {row["Image"] for row in map(json.loads, rows) if row["CurrentState"].startswith("Running")}

    @contextmanager
    def overlay(self, text: str) -> Iterator[None]:
        """Lay one more compose file over the others."""
        (self.root / "docker" / "more.yml").write_text(text)
        self.set(DEPLOY_COMPOSE_FILE=f"{FILES}:docker/more.yml")
        yield
        self.set(DEPLOY_COMPOSE_FILE=FILES)


@pytest.fixture(scope="module")
def swarm(engine: None) -> Iterator[None]:
    """An engine that manages a swarm; one that was in none is in none afterwards."""
    state = docker("info", "--format", "{{.Swarm.LocalNodeState}}").stdout.strip()
    if state != "active":
        docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
    yield
    if state != "active":
        docker("swarm", "leave", "--force")


@pytest.fixture(scope="module")
def site(swarm: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site of three replicas that was deployed to an empty cluster."""
    with checkout() as made:
        made.__class__ = Site
        made.prepare()
        made.https = free_port()
        made.set(
            DEPLOY_COMPOSE_FILE=FILES,
            HTTP_PUBLISHED_PORT=str(free_port()),
            HTTPS_PUBLISHED_PORT=str(made.https),
            TLS_FILE=str(certificate(tmp_path_factory.mktemp("tls"))),
            ALLOWED_HOSTS=HOST,
            APP_REPLICAS="3",
        )
        ok(made.inv("build", "--prod"))
        ok(made.deploy(made.version("v1")))
        try:
            yield made
        finally:
            remove(made.stack)


def remove(stack: str) -> None:
    """Take a stack away, with its data."""
    docker("stack", "rm", stack)
    label = f"label=com.docker.stack.namespace={stack}"

    def list_(*words: str) -> list[str]:
        return docker(*words, "--quiet", "--filter", label).stdout.split()

    within(PATIENCE, lambda: not list_("ps", "--all"), f"the containers of {stack} are gone")
    for volume in list_("volume", "ls"):
        docker("volume", "rm", volume)


def certificate(folder: Path) -> Path:
    key, cert = folder / "key.pem", folder / "cert.pem"
    line = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={HOST} -keyout {key} -out {cert}"
    subprocess.run(line.split(), check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text(cert.read_text() + key.read_text())
    return both


def test_three_replicas_of_a_new_version_on_an_empty_database_migrate_once(site: Site) -> None:
    database = docker(
        "ps", "--quiet", "--filter", f"label=com.docker.swarm.service.name={site.stack}_db"
    ).stdout.strip()
    query = "SELECT count(*), count(DISTINCT (app, name)) FROM django_migrations"
    asked = docker("exec", "--env", "PGDATABASE=app", database, "psql", "-U", "postgres", "-qAtc", query)
    rows, migrations = asked.stdout.strip().split("|")
    assert rows == migrations
    assert int(rows) > 10
    tasks = docker("service", "ps", f"{site.stack}_app", "--format", "{{.CurrentState}}").stdout.splitlines()
    states = [state.split()[0] for state in tasks]
    assert states.count("Running") == 3
    # On a busy machine one may be replaced before it is ready; none has failed.
    assert {"Failed", "Rejected"}.isdisjoint(states)
    assert "Applying" not in docker("service", "logs", "--raw", f"{site.stack}_app").stdout


def test_no_container_has_a_secret_in_its_environment(site: Site) -> None:
    environment = docker("service", "inspect", f"{site.stack}_app", "--format", "{{json .Spec}}").stdout
    assert site.value("DB_PASSWORD") not in environment
    assert site.value("SECRET_KEY") not in environment
    assert "DB_PASSWORD_FILE=/run/secrets/DB_PASSWORD" in environment


def test_a_service_is_scaled_and_a_deployment_leaves_it_at_that(site: Site) -> None:
    ok(site.inv("deploy.scale", "app=2"))
    image = site.version("scaled")
    ok(site.deploy(image))
    shown = ok(site.inv("deploy.status")).stdout
    assert f"stack {site.stack}, release 2: " in shown
    (row,) = (row for row in shown.splitlines() if f"{site.stack}_app " in row)
    assert image in row
    # Old replicas count until they have drained.
    within(60, lambda: site.replicas("app") == "2/2", "two replicas serve")


def test_deployments_under_load_fail_no_request(site: Site) -> None:
    with Load(site.https) as load:
        for number in range(ROUNDS):
            image = site.version(f"round{number}")
            ok(site.deploy(image))
            assert site.serving() == {image}
    assert load.failed == []
    assert load.answered > 100
    # Scaled some deployments ago.
    within(60, lambda: site.replicas("app") == "2/2", "two replicas serve")


def test_a_broken_version_serves_nothing_and_the_old_one_fails_no_request(site: Site) -> None:
    before = site.serving()
    broken = site.version(
        "broken", "USER root\nRUN echo 'raise ValueError(\"broken on purpose\")' >app/wsgi.py\nUSER 10001:10001"
    )
    with Load(site.https) as load:
        made = site.deploy(broken)
    assert made.returncode == 1
    assert "app did not become healthy: task: non-zero exit" in made.stderr
    assert "broken on purpose" in made.stderr
    assert "the release before serves" in made.stderr
    assert load.failed == []
    assert load.answered > 50
    assert site.serving() == before


def test_a_migration_that_fails_replaces_nothing(site: Site) -> None:
    before = site.serving()
    failing = site.version("failing", "USER root\nRUN echo 'raise ValueError' >app/__init__.py\nUSER 10001:10001")
    made = site.deploy(failing)
    assert made.returncode == 1
    assert "migrate failed, so that nothing was replaced" in made.stderr
    assert site.serving() == before
    with closing(connect(site.https)) as connection:
        assert ask(connection, "/admin/login/") == 200


def test_a_rollback_brings_the_version_before(site: Site) -> None:
    with Load(site.https) as load:
        ok(site.inv("deploy.rollback"))
    assert site.serving() == {f"{site.name}-app:{f'round{ROUNDS - 2}' if ROUNDS > 1 else 'scaled'}"}
    assert load.failed == []


def test_what_stops_all_replicas_at_once_fails_requests(site: Site) -> None:
    """Or the load above would not notice anything."""
    with site.overlay(STOP_FIRST), Load(site.https) as load:
        ok(site.deploy(site.version("control")))
    assert load.failed != []


def test_a_migration_that_the_running_version_cannot_live_with_is_refused_until_it_is_allowed(site: Site) -> None:
    before = site.serving()
    image = site.version("unsafe", f"USER root\nRUN echo '{UNSAFE}' >users/migrations/0002_unsafe.py\nUSER 10001:10001")
    refused = site.deploy(image)
    assert refused.returncode == 1
    assert "migrate failed, so that nothing was replaced" in refused.stderr
    assert "(users, 0002_unsafe)... ERR\n\tNOT NULL constraint on columns" in refused.stderr
    assert "go on by `inv deploy --allow-unsafe-migrations`" in refused.stderr
    assert site.serving() == before
    ok(site.deploy(image, "--allow-unsafe-migrations"))
    assert site.serving() == {image}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["deploy", "--image", "none:1"], "the engine has no image none:1: type `./inv release`"),
        (["deploy", "--to", "swram"], "Berth deploys to swarm or kubernetes, not to `swram`: did you mean `swarm`?"),
        (["deploy.scale", "ap=3"], "`ap` is no service of the stack: `deploy.scale` takes app"),
        (["deploy.scale", "balancer=3"], "`balancer` runs once on each node"),
        (["deploy", "--context", "nowhere"], "the engine of `nowhere` does not answer"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(site: Site, words: list[str], message: str) -> None:
    made = site.inv(*words)
    assert made.returncode == 1
    assert message in made.stderr
    assert len(made.stderr.splitlines()) == 1
