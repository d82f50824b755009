"""Tests run by nox, and in throw-away stacks that are removed whatever happens."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dry_project import ROOT, environment

Dry = Callable[..., list[str]]
Inv = Callable[..., tuple[int, str, str]]

CALLER = f"{os.getuid()}:{os.getgid()}"


@pytest.mark.parametrize(
    ("words", "arguments"), [("check", ""), ("check lint types", " --session lint types")], ids=["all", "named"]
)
def test_check_runs_nox(inv: Inv, words: str, arguments: str) -> None:
    assert inv("--dry", *words.split()) == (0, "", f"+ {sys.executable} -m nox{arguments}\n")


@pytest.mark.parametrize(
    ("image", "overlays", "target", "lock"),
    [
        ("dev", "docker/docker-compose.test.yml", "dev", ""),
        ("test", "docker/docker-compose.test.yml:docker/docker-compose.prod.yml", "test", ""),
        ("dev-django-6.1", "docker/docker-compose.test.yml", "dev", " DEV_LOCK=dev-django-6.1"),
    ],
)
def test_stack_of_a_test_is_its_own_and_removed(
    dry: Dry, folder: Path, image: str, overlays: str, target: str, lock: str
) -> None:
    lines = dry("test-in-container", "--image", image, "--", "-k", "name")
    name = re.search(r"COMPOSE_PROJECT_NAME=(\S+)", lines[0])
    assert name and re.fullmatch(rf"{folder.name}-test-{image.replace('.', '-')}-[0-9a-f]{{8}}", name[1])
    env = (
        f"COMPOSE_ENV_FILES=.env COMPOSE_FILE=docker/docker-compose.yml:{overlays} COMPOSE_PROJECT_NAME={name[1]} "
        f"BUILD_TARGET={target} APP_IMAGE={folder.name}-app:{image}{lock}"
    )
    assert lines == [
        f"{env} docker compose build app",
        f"{env} docker compose up --detach --wait",
        f"{env} docker compose run --rm -T --no-deps --user {os.getuid()}:{os.getgid()} "
        f"--volume {folder}/reports:/reports test pytest --junitxml=/reports/junit-{image}.xml --cov "
        f"--cov-report=xml:/reports/coverage-{image}.xml -k name",
        f"{env} docker compose down --remove-orphans --volumes",
    ]


@pytest.mark.parametrize("words", [[], ["-k", "a name", "-x"]])
def test_test_runs_pytest_in_the_services(dry: Dry, words: list[str]) -> None:
    assert dry("test", *words) == [
        "docker compose up --detach --wait",
        shlex.join(["docker", "compose", "exec", "-T", "--user", CALLER, "app", "pytest", *words]),
    ]


def test_unknown_image_is_refused(inv: Inv) -> None:
    message = "no image `prod` to test in: type `--image dev` or `--image test`\n"
    assert inv("test-in-container", "--image", "prod") == (1, "", message)


@pytest.mark.parametrize(
    ("required", "code", "message"),
    [
        ("", 0, "Session test-in-container(image='dev') skipped: no Docker engine answers."),
        ("1", 1, "no Docker engine answers: start Docker Desktop, or type"),
    ],
)
def test_without_an_engine_nox_skips_the_images_unless_they_are_required(
    bare: Path, required: str, code: int, message: str
) -> None:
    shutil.copy(ROOT / "noxfile.py", bare)
    (bare / "inv").unlink()
    made = subprocess.run(
        [sys.executable, "-m", "nox", "-s", "test-in-container(image='dev')"],
        cwd=bare,
        env=environment(
            PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            DOCKER_HOST=f"unix://{bare}/no.sock",
            BERTH_REQUIRE_ENGINE=required,
        ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == code, made.stderr
    assert message in made.stdout + made.stderr
