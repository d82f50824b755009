"""Which engine is chosen, where a wrong guess would show another database."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from dry_project import copy, invoke, make_env

from berth.engines.docker import mark
from berth.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with its `.env`."""
    folder = tmp_path / "shop"
    folder.mkdir()
    copy(folder)
    make_env(folder)
    return folder


@pytest.fixture
def listening() -> Iterator[str]:
    """A socket that takes connections, as the engine's does."""
    folder = Path(tempfile.mkdtemp())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "docker.sock"))
        server.listen()
        yield f"unix://{folder}/docker.sock"
    shutil.rmtree(folder)


@pytest.mark.parametrize("words", ["up", "ps", "down", "reset-db --yes"])
def test_a_checkout_that_ran_in_docker_gets_no_second_database_without_it(project: Path, words: str) -> None:
    mark.write(Project(project), "shop")
    made = invoke(project, *words.split(), PATH=str(project / "nothing"), DOCKER_HOST=f"unix://{project}/no.sock")
    assert (made.code, made.output, made.errors) == (
        1,
        "",
        "the services of this checkout ran in Docker, as the project `shop`, and their data is there; now docker is "
        "not installed: start Docker and repeat the command, or type BERTH_ENGINE=embedded in front of it for services "
        "without containers, with a database of their own\n",
    )
    assert not (project / ".berth" / "embedded").exists()


def test_a_copied_folder_does_not_count_as_one_that_ran_in_docker(project: Path, tmp_path: Path) -> None:
    mark.write(Project(project), "shop")
    shutil.copytree(project, tmp_path / "copy")
    assert mark.read(Project(project)) == "shop"
    assert mark.read(Project(tmp_path / "copy")) is None


def test_a_socket_without_a_client_is_no_engine(project: Path, listening: str) -> None:
    made = invoke(project, "down", PATH=str(project / "nothing"), DOCKER_HOST=listening)
    assert (made.code, made.errors) == (
        0,
        "engine: embedded, without containers (docker is not installed)\nnothing runs here\n",
    )
