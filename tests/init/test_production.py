"""What an adopted project gets to try and to deploy the image that it ships, as Compose resolves it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from init import shapes
from init.plans import plan
from init.test_init import berth, ok
from test_compose_files import compose

from berth import env
from berth.init import production
from berth.init.plan import Service, Variable, Worker

SWITCHED = """
DEBUG = os.environ.get("DEBUG", "0") == "1"
SECURE_SSL_REDIRECT = os.environ.get("SSL_REDIRECT", "True") == "True"
"""
MORE = {
    ".gitignore": ".env\n.berth/\n__pycache__/\n",
    "requirements.txt": shapes.REQUIREMENTS["requirements.txt"] + "celery==5.5.3\nredis==5.2.1\n",
    "shop/celery.py": shapes.CELERY,
    "shop/live.py": "from shop.settings import *\n",
}
BROKER = 'CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0")\n'


def resolved(root: Path, *names: str) -> dict[str, Any]:
    """Return the services of a project with overlays, as Compose sees them."""
    made = env.create(env.read_text(root / ".env.template"), {"project name": lambda _: "shop"})
    (root / ".env").write_text(made)
    files = ":".join(f"docker/docker-compose{name}.yml" for name in ("", *names))
    done = subprocess.run(
        [*compose(), "config", "--format", "json"],
        cwd=root,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "COMPOSE_FILE": files, "COMPOSE_ENV_FILES": ".env"},
        capture_output=True,
        text=True,
        check=False,
    )
    return dict(json.loads(ok(done))["services"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a worker on Redis, whose settings are made for production unless a variable says otherwise."""
    folder = tmp_path_factory.mktemp("adopted") / "shop"
    shapes.write(folder, shapes.project(shapes.URL + SWITCHED + BROKER, more=MORE))
    ok(berth(folder, "init"))
    return folder


def test_the_image_that_is_shipped_is_tried_without_a_mount_by_its_own_settings(shop: Path) -> None:
    services = resolved(shop, ".prod", ".tls")
    workers = services.keys() - {"db", "redis", "migrate", "app", "certificate", "balancer"}
    assert len(workers) == 1
    for name in ("migrate", "app", *workers):
        one = services[name]
        assert (one["user"], one["read_only"]) == ("10001:10001", True), name
        assert "volumes" not in one, name
        assert one["environment"]["DEBUG"] in ("False", "0"), name
        assert one["environment"]["SSL_REDIRECT"] == "True", name
    assert services["app"]["command"] == ["start-prod-server.sh"]
    assert {services[name]["environment"]["WORKER_RELOAD"] for name in workers} == {"0"}


def test_only_the_balancer_is_reached_and_on_this_machine(shop: Path) -> None:
    services = resolved(shop, ".prod", ".tls")
    assert "ports" not in services["app"]
    ports = services["balancer"]["ports"]
    assert {(port["target"], port["host_ip"]) for port in ports} == {(8443, "127.0.0.1"), (8080, "127.0.0.1")}
    assert services["balancer"]["environment"]["HEALTH_PATH"] == services["app"]["environment"]["HEALTH_PATH"]


def test_servers_are_no_part_of_a_deployment(shop: Path) -> None:
    services = resolved(shop, ".prod", ".swarm")
    assert {name for name, one in services.items() if one.get("deploy", {}).get("replicas") == 0} == {"db", "redis"}
    assert services["app"]["deploy"]["replicas"] == 2


def test_all_that_the_overlays_read_stands_in_the_template(shop: Path) -> None:
    template = env.parse_template(env.read_text(shop / ".env.template"))
    wanted = {*production.SERVER, *production.DEPLOYMENT, "PROD_SETTINGS_MODULE"}
    assert wanted <= template.keys()
    assert template["DEPLOY_COMPOSE_FILE"].default.split(":")[2] == "docker/docker-compose.swarm.yml"


def test_a_project_without_servers_and_workers_has_none_in_its_overlays() -> None:
    found = production.files(plan(folder="berth-docker"))
    assert {Path(path).parts[0] for path in found} == {"berth-docker"}
    for name in ("prod", "swarm"):
        text = found[f"berth-docker/docker-compose.{name}.yml"]
        assert "  db:" not in text and "worker" not in text
        assert "  app:" in text


@pytest.mark.parametrize(
    ("name", "value", "becomes"),
    [("DEBUG", "True", '"False"'), ("DJANGO_DEBUG", "1", '"0"'), ("SECURE_SSL_REDIRECT", "off", '"on"')],
)
def test_a_switch_of_development_is_the_opposite_in_production(name: str, value: str, becomes: str) -> None:
    made = plan(
        variables=(Variable(name, f"${{{name}:-{value}}}"), Variable("DEBUG_SQL", "${DEBUG_SQL:-1}")),
        services=(Service("db", "db", "postgres:18"),),
        workers=(Worker("queue", "other", ("python", "manage.py", "qcluster")),),
    )
    text = production.files(made)["docker/docker-compose.prod.yml"]
    assert f"      {name}: {becomes}\n" in text
    assert "DEBUG_SQL" not in text
    assert text.endswith("  queue:\n    <<: *baked\n")


def test_a_release_lists_the_packages_that_are_in_the_image(shop: Path) -> None:
    """Their own lock may be of any tool."""
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "All"]):
        subprocess.run(["git", *author, *words], cwd=shop, check=True)
    shown = berth(shop, "--dry", "release").stderr
    if "docker is not installed" in shown or "no Docker engine" in shown:
        pytest.skip("no engine answers")
    assert "requirements/prod.txt" not in shown
    assert any("cyclonedx-py requirements" in line and line.endswith(".txt") for line in shown.splitlines()), shown
