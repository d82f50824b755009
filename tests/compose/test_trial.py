"""What turns a project's services into those of the image that is tried."""

from __future__ import annotations

import json

from berth.compose import trial
from berth.compose.config import Stack


def test_the_overlays_stand_beside_the_first_compose_file_and_come_once() -> None:
    assert trial.overlays(["berth-docker/docker-compose.yml"]) == [
        "berth-docker/docker-compose.prod.yml",
        "berth-docker/docker-compose.tls.yml",
    ]
    given = ["docker/docker-compose.yml", "docker/docker-compose.prod.yml"]
    found = trial.variables(given, project_name="shop", image="shop-app:1", env_file=".env.berth", ports=["A", "B"])
    assert found["COMPOSE_FILE"].split(":") == [*given, "docker/docker-compose.tls.yml"]
    assert (found["COMPOSE_PROJECT_NAME"], found["COMPOSE_ENV_FILES"]) == ("shop-prod", ".env.berth")
    assert (found["APP_IMAGE"], found["A"], found["B"]) == ("shop-app:1", "0", "0")


def test_workers_are_known_by_their_script_whatever_they_are_called() -> None:
    services = {
        "mail": {"command": ["start-celery-worker.sh", "mail"]},
        "beat": {"command": ["start-celery-beat.sh"]},
        "db": {"command": None},
        "cache": {},
    }
    assert trial.workers(Stack(json.dumps({"name": "shop", "services": services}))) == ["mail"]
