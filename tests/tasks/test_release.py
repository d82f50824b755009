"""The lines of a release, and of the stack in which it is tried."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from dry_project import Result, invoke, make_env

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]


@pytest.fixture
def committed(engine: None, bare: Path) -> Path:
    """A project in a repository of its own, with all its files committed, of the version 1.4.0."""
    make_env(bare)
    (bare / ".gitignore").write_text(".env\n.berth\n__pycache__\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "All"], ["tag", "v1.4.0"]):
        subprocess.run([*GIT, *words], cwd=bare, check=True)
    return bare


def commit(folder: Path) -> str:
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True)[:12]


def test_release_builds_names_lists_and_pushes(committed: Path) -> None:
    code, output, errors = invoke(committed, "--dry", "release", "--push", REGISTRY="reg.example.com/team")

    assert (code, output) == (0, "")
    name, app = commit(committed), f"{committed.name}-app"
    build, *tags, sbom, first, second = errors.splitlines()
    assert build.startswith("+ BUILD_TARGET=prod ") and build.endswith(" docker compose build app")
    assert f"BUILD_REVISION={name} BUILD_VERSION=v1.4.0 BUILD_CREATED=2" in build
    assert tags == [
        f"+ docker tag {app}:prod {other}"
        for registry in ("", "reg.example.com/team/")
        for other in (f"{registry}{app}:{name}", f"{registry}{app}:v1.4.0")
    ]
    assert f"--output-file {committed}/.berth/releases/{app}-{name}.cdx.json" in sbom
    assert sbom.endswith(" requirements/prod.txt") or sbom.endswith(f" {committed}/requirements/prod.txt")
    assert (first, second) == (
        f"+ docker push reg.example.com/team/{app}:{name}",
        f"+ docker push reg.example.com/team/{app}:v1.4.0",
    )


def test_nothing_is_built_of_what_is_not_committed(committed: Path) -> None:
    (committed / "new.py").write_text("")

    made = invoke(committed, "--dry", "release")

    told = "what is not committed could not be built again: commit it, or type `./inv release --dirty`\n  ?? new.py\n"
    assert made == (1, "", told)


def test_push_without_a_registry_is_refused(committed: Path) -> None:
    told = "there is no registry to push to: set REGISTRY in .env, such as `REGISTRY=registry.example.com/shop`\n"
    assert invoke(committed, "release", "--push") == (1, "", told)


def test_the_shipped_image_is_tried_under_a_name_of_its_own(
    dry: Callable[..., list[str]], folder: Path, inv: Callable[..., Result]
) -> None:
    (up,) = dry("prod.up", "--image", "shop:1")
    (down,) = dry("prod.down")
    check, through, stop = dry("prod.smoke")

    files = ":".join(f"docker/docker-compose{name}.yml" for name in ("", ".prod", ".tls"))
    for line in (up, down, check, through, stop):
        assert line.startswith(f"COMPOSE_ENV_FILES=.env COMPOSE_FILE={files} ")
        assert f"COMPOSE_PROJECT_NAME={folder.name}-prod BUILD_TARGET=prod " in line
    assert "APP_IMAGE=shop:1 " in up and up.endswith(" docker compose up --detach --wait")
    assert f"APP_IMAGE={folder.name}-app:prod " in check and check.endswith(" app smoke-test")
    assert through.endswith(" app smoke-test --through balancer:8443:8080")
    assert stop.endswith(" docker compose stop app")
    assert down.endswith(" docker compose down --remove-orphans --volumes")
