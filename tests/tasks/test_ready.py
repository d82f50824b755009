"""What a task makes sure of first, each with one message that says what to type."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from dry_project import environment, invoke, make_env

from berth import env
from berth.engines.docker.versions import complaint, compose_plugins


@pytest.fixture
def project(bare: Path) -> Path:
    """A project with its `.env`, to be spoiled."""
    make_env(bare)
    return bare


TASKS = [
    "up",
    "build",
    "ps",
    "logs",
    "exec app ls",
    "shell",
    "stop",
    "restart",
    "down",
    "manage check",
    "reset-db --yes",
]


@pytest.mark.parametrize("words", TASKS)
def test_missing_engine_ends_in_one_message(project: Path, words: str) -> None:
    code, output, errors = invoke(
        project, *words.split(), BERTH_ENGINE="docker", DOCKER_HOST=f"unix://{project}/no.sock"
    )
    assert (code, output) == (1, "")
    assert errors.startswith(
        "no Docker engine answers: start Docker Desktop, or type `sudo systemctl start docker`, and repeat the "
        "command; to install one, see https://docs.docker.com/engine/install/ ("
    )
    assert errors.count("\n") == 1


@pytest.mark.parametrize("words", ["up", "build", "images.base", "test-in-container"])
def test_nothing_is_made_without_an_engine(bare: Path, words: str) -> None:
    code, _, errors = invoke(bare, words, BERTH_ENGINE="docker", DOCKER_HOST=f"unix://{bare}/no.sock")
    assert (code, errors.count("\n")) == (1, 1)
    assert errors.startswith("no Docker engine answers: ")
    assert not (bare / ".env").exists()


def test_missing_docker_ends_in_one_message(project: Path, tmp_path: Path) -> None:
    message = (
        "docker is not installed: install Docker Engine or Docker Desktop with Compose, "
        "see https://docs.docker.com/engine/install/\n"
    )
    assert invoke(project, "up", BERTH_ENGINE="docker", PATH=str(tmp_path / "empty")) == (127, "", message)


TOO_OLD = "is too old, Berth needs"


def plugin(folder: Path, name: str, says: str) -> None:
    """Put a plugin in Docker's way that only knows its version: the `docker` program starts it as it does a real one."""
    about = f'{{"SchemaVersion": "0.1.0", "Vendor": "test", "Version": "1", "ShortDescription": "{name}"}}'
    file = folder / "cli-plugins" / f"docker-{name}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n[ \"$1\" = docker-cli-plugin-metadata ] && echo '{about}' || echo '{says}'\n")
    file.chmod(0o755)


@pytest.mark.parametrize("words", ["up", "build", "images.base", "test-in-container"])
def test_compose_that_is_too_old_ends_in_one_message(engine: None, bare: Path, tmp_path: Path, words: str) -> None:
    plugin(tmp_path, "compose", "2.17.3")
    message = f"Compose 2.17.3 {TOO_OLD} 2.24 or newer: update it, see https://docs.docker.com/compose/install/\n"
    assert invoke(bare, words, DOCKER_CONFIG=str(tmp_path)) == (1, "", message)
    assert not (bare / ".env").exists()


@pytest.mark.parametrize("words", ["up", "build"])
def test_buildx_that_is_too_old_ends_in_one_message(engine: None, bare: Path, tmp_path: Path, words: str) -> None:
    plugin(tmp_path, "compose", "5.6.1")
    plugin(tmp_path, "buildx", "github.com/docker/buildx v0.11.2 9872040")
    message = f"buildx 0.11 {TOO_OLD} 0.17 or newer: update it, see https://github.com/docker/buildx#installing\n"
    assert invoke(bare, words, DOCKER_CONFIG=str(tmp_path)) == (1, "", message)
    assert not (bare / ".env").exists()


@pytest.mark.parametrize("words", TASKS)
def test_missing_compose_ends_in_one_message(engine: None, project: Path, tmp_path: Path, words: str) -> None:
    """In a mount namespace without the plugins of this machine."""
    hidden = " && ".join(
        f"{{ ! [ -d {folder} ] || mount -t tmpfs none {folder}; }}"
        for folder in map(str, [path.parent for path in compose_plugins(tmp_path)][1:])
    )
    namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*namespace, hidden], capture_output=True).returncode != 0:
        pytest.skip("this machine makes no mount namespaces")
    made = subprocess.run(
        [*namespace, f'{hidden} && exec "$@"', "-", sys.executable, "-m", "invoke", *words.split()],
        cwd=project,
        env=environment(DOCKER_CONFIG=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    message = "Docker has no Compose plugin: install it, see https://docs.docker.com/compose/install/\n"
    assert (made.returncode, made.stdout, made.stderr) == (1, "", message)


def test_engine_that_may_not_be_used_ends_in_one_message(project: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become somebody who may not")
    closed = Path(tempfile.mkdtemp())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(closed / "docker.sock"))
        server.listen()
        (closed / "docker.sock").chmod(0o600)
        closed.chmod(0o755)
        said = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "docker", "-H", f"unix://{closed}/docker.sock", "version"],
            capture_output=True,
            text=True,
        ).stderr
    shutil.rmtree(closed)
    assert complaint(said) == (
        "you may not use the Docker engine: type `sudo usermod -aG docker $USER`, log in again, and repeat the command"
    )


def test_all_problems_of_env_are_listed_at_once(project: Path) -> None:
    path = project / ".env"
    rows = path.read_text().splitlines()
    rows = [row for row in rows if not row.startswith("DB_NAME=")]
    rows = ["SECRET_KEY=" if row.startswith("SECRET_KEY=") else row for row in rows] + ["DB_NAMES=app"]
    empty = rows.index("SECRET_KEY=") + 1
    path.write_text("\n".join(rows) + "\n")
    message = (
        ".env does not match .env.template:\n"
        f"  - line {len(rows)}: DB_NAMES is not in .env.template; did you mean DB_NAME?\n"
        f"  - SECRET_KEY is empty: fill in line {empty}\n"
        "  - DB_NAME is missing: add the line `DB_NAME=app`\n"
    )
    assert invoke(project, "ps") == (1, "", message)


def test_words_of_compose_about_its_files_are_passed_on(engine: None, project: Path) -> None:
    (project / "docker" / "docker-compose.yml").write_text("services: {app: {image: a, ports: [x:y:z:w]}}\n")
    refused = subprocess.run(
        ["docker", "compose", "config"], cwd=project, env=environment(), capture_output=True, text=True
    )
    assert refused.returncode != 0
    assert "x:y" in refused.stderr
    assert invoke(project, "up") == (refused.returncode, "", refused.stderr.strip() + "\n")


def test_missing_role_is_reported(engine: None, project: Path) -> None:
    (project / "docker" / "docker-compose.yml").write_text("services: {web: {image: a}}\n")
    message = "no service has the label `berth.role: app`: give it to one of web\n"
    assert invoke(project, "shell") == (1, "", message)


def test_missing_template_is_reported(bare: Path) -> None:
    (bare / ".env.template").unlink()
    message = f"there is no .env.template in {bare}: it says which variables .env has to hold\n"
    assert invoke(bare, "config") == (1, "", message)


def test_bundle_of_this_machine_is_taken_for_builds(bare: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "ca bundle.crt"
    bundle.touch()
    errors = invoke(bare, "config", SSL_CERT_FILE=str(bundle)).errors
    assert f"images will be built with your CA bundle {bundle} (BUILD_CA_BUNDLE in .env)\n" in errors
    assert str(bundle) in (bare / ".env").read_text()


@pytest.mark.parametrize("words", ["up", "build", "config", "images.base", "test-in-container"])
def test_a_dry_run_makes_nothing(engine: None, bare: Path, words: str) -> None:
    def files() -> list[Path]:
        return sorted(path for path in bare.rglob("*") if "__pycache__" not in path.parts)

    before = files()
    message = "there is no .env yet: type `./inv up`, which makes it from .env.template\n"
    assert invoke(bare, "--dry", words) == (1, "", message)
    assert files() == before


def test_ports_that_are_taken_are_left_to_who_has_them(bare: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        template = bare / ".env.template"
        lines = template.read_text().replace("# DB_PUBLISHED_PORT=5432", f"# DB_PUBLISHED_PORT={taken}")
        template.write_text(lines.replace("# BROKER_PUBLISHED_PORT=9324", f"# BROKER_PUBLISHED_PORT={taken}"))
        errors = invoke(bare, "config").errors
    values = env.read(bare / ".env", {}).values
    chosen = [int(values[f"{service}_PUBLISHED_PORT"]) for service in ("DB", "BROKER")]
    assert taken < chosen[0] < chosen[1]
    for service, port in zip(("DB", "BROKER"), chosen, strict=True):
        assert f"port {taken} is taken on this machine: {service}_PUBLISHED_PORT={port} in .env\n" in errors
