"""The servers that a project needs and the example has not: as Compose resolves them, and as they run."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from init.plans import plan

from berth.base_images import builder
from berth.env import template
from berth.init import services
from berth.init.plan import Service

QUEUE = Service("redis", "redis", "valkey/valkey:8-alpine")
CACHE = Service("redis", "cache", "valkey/valkey:8-alpine", volatile=True)
RABBITMQ = Service("rabbitmq", "rabbitmq", "rabbitmq:4")


def write(folder: Path, *wanted: Service, **variables: str) -> None:
    """Write a project of these services alone."""
    text = "services:\n" + "".join(services.block(each, plan()) for each in wanted)
    text += "volumes:\n  redis_data:\n  rabbitmq_data:\n"
    for each in wanted:
        for path, content in services.files(each, plan()).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)
            (folder / path).chmod(0o755)
    (folder / "docker" / "docker-compose.yml").write_text(text)
    said = {"COMPOSE_FILE": "docker/docker-compose.yml", **variables}
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in said.items()))


def compose(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", "compose", *words], cwd=folder, capture_output=True, text=True, check=False)


def resolved(folder: Path) -> dict[str, Any]:
    made = compose(folder, "config", "--format", "json")
    assert made.returncode == 0, made.stderr
    return dict(json.loads(made.stdout)["services"])


def test_a_queue_is_kept_in_a_volume_and_a_cache_is_not(tmp_path: Path) -> None:
    write(tmp_path, QUEUE, CACHE, COMPOSE_PROJECT_NAME="x")
    found = resolved(tmp_path)
    assert [each["target"] for each in found["redis"]["volumes"]] == ["/data", "/usr/local/bin/check-redis.sh"]
    assert [each["target"] for each in found["cache"]["volumes"]] == ["/usr/local/bin/check-redis.sh"]
    assert found["cache"]["command"][2:6] == ["--save", "", "--appendonly", "no"]
    assert found["redis"]["command"][2:4] == ["--appendonly", "yes"]


def test_every_port_is_on_this_machine_alone_and_is_a_variable_of_the_template(tmp_path: Path) -> None:
    write(tmp_path, QUEUE, RABBITMQ, COMPOSE_PROJECT_NAME="x", RABBITMQ_PASSWORD="p")
    for name, service in (found := resolved(tmp_path)) and [("redis", QUEUE), ("rabbitmq", RABBITMQ)]:
        (port,) = found[name]["ports"]
        variable = template.parse_template(services.paragraphs(service, plan())["Ports"])
        assert port["host_ip"] == "127.0.0.1"
        assert [one.default for one in variable.values()] == [port["published"]]


def test_a_broker_without_a_password_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, RABBITMQ, COMPOSE_PROJECT_NAME="x")
    made = compose(tmp_path, "config")
    assert made.returncode != 0
    assert "set it in .env, or type inv up" in made.stderr


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """A queue and a cache, healthy; on the image that is built from packages."""
    recipes = [one for one in builder.read_recipes(builder.RECIPES) if one.variable == "REDIS_IMAGE"]
    present = subprocess.run(
        ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"], capture_output=True, text=True
    )
    for line in builder.build_lines(recipes, present.stdout.split()):
        subprocess.run(line, check=True)
    write(tmp_path, QUEUE, COMPOSE_PROJECT_NAME=f"berth-{uuid.uuid4().hex[:8]}", REDIS_PUBLISHED_PORT="0",
          REDIS_IMAGE=recipes[0].tag)  # fmt: skip
    try:
        made = compose(tmp_path, "up", "--detach", "--wait")
        assert made.returncode == 0, made.stderr
        yield tmp_path
    finally:
        compose(tmp_path, "down", "--volumes", "--timeout", "2")


@pytest.mark.containers
def test_what_is_queued_outlives_a_killed_server(running: Path) -> None:
    def client(*words: str) -> str:
        return compose(running, "exec", "-T", "redis", "valkey-cli", *words).stdout.strip()

    assert client("RPUSH", "tasks", "one", "two") == "2"
    # Written at once; the default is once a second.
    assert client("WAITAOF", "1", "0", "5000").split() == ["1", "0"]
    assert compose(running, "kill", "--signal", "KILL", "redis").returncode == 0
    assert compose(running, "up", "--detach", "--wait").returncode == 0
    assert client("LRANGE", "tasks", "0", "-1").split() == ["one", "two"]


@pytest.mark.containers
def test_the_check_says_why_a_server_is_not_healthy(running: Path) -> None:
    def checked() -> tuple[int, str]:
        made = compose(running, "exec", "-T", "redis", "check-redis.sh")
        return made.returncode, made.stdout

    assert checked() == (0, "")
    compose(running, "exec", "-T", "redis", "valkey-cli", "config", "set", "requirepass", "x")
    assert checked() == (1, "PING was answered by: NOAUTH Authentication required.\n")
