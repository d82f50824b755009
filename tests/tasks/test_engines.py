"""Which engine runs: what BERTH_ENGINE says, or what there is, and never silently."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dry_project import Result, invoke, make_env
from invoke import Context

from berth.engines.embedded import leftovers, lines
from berth.engines.embedded.engine import Embedded
from berth.errors import Refused
from berth.project import Project

Inv = Callable[..., Result]
NOTHING = "nothing runs here\n"


@pytest.fixture
def project(bare: Path) -> Path:
    """A project with its `.env`."""
    make_env(bare)
    return bare


@pytest.fixture
def without_docker(tmp_path: Path) -> dict[str, str]:
    """Variables of a machine that has no `docker`."""
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin"), "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}


def test_a_machine_without_docker_is_told_which_engine_runs(project: Path, without_docker: dict[str, str]) -> None:
    message = "engine: embedded, without containers (docker is not installed)\n"
    assert invoke(project, "down", **without_docker) == (0, "", message + NOTHING)


def test_an_engine_that_does_not_answer_is_the_reason(project: Path, tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    docker.chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    message = "engine: embedded, without containers (no Docker engine answers)\n"
    assert invoke(project, "down", **variables) == (0, "", message + NOTHING)


def test_env_chooses_the_engine(project: Path, without_docker: dict[str, str]) -> None:
    with (project / ".env").open("a") as file:
        file.write("BERTH_ENGINE=embedded\n")
    message = "engine: embedded, without containers (BERTH_ENGINE=embedded in .env)\n"
    assert invoke(project, "down") == (0, "", message + NOTHING)


def test_the_environment_stands_above_env(project: Path, without_docker: dict[str, str]) -> None:
    with (project / ".env").open("a") as file:
        file.write("BERTH_ENGINE=embedded\n")
    made = invoke(project, "ps", BERTH_ENGINE="docker", **without_docker)
    assert made.code == 127
    assert made.errors.startswith("docker is not installed: install Docker Engine")


@pytest.mark.parametrize("words", ["up", "ps", "down"])
def test_an_unknown_engine_is_refused(project: Path, words: str) -> None:
    message = "BERTH_ENGINE is `podman` in the environment: write docker, embedded or auto\n"
    assert invoke(project, words, BERTH_ENGINE="podman") == (1, "", message)


def test_an_engine_that_answers_is_taken_without_a_word(engine: None, inv: Inv) -> None:
    assert inv("--dry", "ps", BERTH_ENGINE="auto") == (0, "", "+ docker compose ps --all\n")


def test_what_was_started_without_containers_goes_on_so(engine: None, project: Path) -> None:
    (project / ".berth" / "embedded" / "run").mkdir(parents=True)
    message = "engine: embedded, without containers (the services were started so; `./inv down` ends that)\n"
    assert invoke(project, "down") == (0, "", message + NOTHING)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("ps", 0, ""),
        ("logs", 0, ""),
        ("stop", 0, ""),
        ("down", 0, NOTHING),
        ("restart", 1, "nothing runs here: type `./inv up`\n"),
        (
            "build",
            0,
            "nothing to build: without containers there is no image; `up` installs the packages when their lock changes\n",
        ),
        ("logs --tail x", 1, "`--tail` takes a number of lines or `all`, not `x`\n"),
    ],
)
def test_nothing_is_installed_to_say_that_nothing_runs(project: Path, words: str, code: int, said: str) -> None:
    line = "engine: embedded, without containers (BERTH_ENGINE=embedded in the environment)\n"
    assert invoke(project, *words.split(), BERTH_ENGINE="embedded") == (code, "", line + said)
    assert [path.name for path in (project / ".berth").iterdir()] == [".gitignore"]


def test_a_dry_run_shows_what_would_be_installed(project: Path) -> None:
    (project / "requirements").mkdir()
    (project / "requirements" / "dev.txt").touch()
    made = invoke(project, "--dry", "up", BERTH_ENGINE="embedded")
    shown = [line.replace(sys.executable, "PYTHON") for line in made.errors.splitlines() if line.startswith("+ ")]
    sync = "+ PYTHON -m uv pip sync --quiet --require-hashes --only-binary :all: --python .berth/embedded"
    package = lines.LOCKS.parent
    assert shown == [
        "+ PYTHON -m uv venv --quiet --python PYTHON .berth/embedded/tools",
        f"{sync}/tools {package}/locks/embedded.txt",
        f"+ bash {package}/scripts/install-broker.sh .berth/embedded/tools/bin/python .berth/embedded/servers PYTHON",
        "+ PYTHON -m uv venv --quiet --python PYTHON .berth/embedded/packages",
        f"{sync}/packages requirements/dev.txt",
    ]
    assert made.code == 0
    assert made.errors.endswith("\nwhat comes next depends on what would be installed\n")
    assert [path.name for path in (project / ".berth").iterdir()] == [".gitignore"]


def test_a_missing_lock_is_named_before_anything_is_installed(project: Path) -> None:
    made = invoke(project, "up", BERTH_ENGINE="embedded")
    lock = project / "requirements" / "dev.txt"
    assert (made.code, made.errors.splitlines()[1:]) == (
        1,
        [f"there is no {lock}: without containers it is what the services are installed from"],
    )
    assert [path.name for path in (project / ".berth").iterdir()] == [".gitignore"]


def test_data_that_ran_in_docker_is_not_hidden_behind_an_empty_database(
    project: Path, without_docker: dict[str, str]
) -> None:
    (project / ".berth" / "docker").write_text(f"{project}\nshop\n")
    made = invoke(project, "ps", **without_docker)
    assert (made.code, made.output) == (1, "")
    assert made.errors == (
        "the services of this checkout ran in Docker, as the project `shop`, and their data is there; now docker is "
        "not installed: start Docker and repeat the command, or type BERTH_ENGINE=embedded in front of it for services "
        "without containers, with a database of their own\n"
    )


def test_without_containers_nothing_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(leftovers.TASK, "")  # the engine sets it for what it starts
    engine = Embedded(Context(), Project(tmp_path))
    with pytest.raises(Refused, match=r"^without containers nothing can be mounted: type BERTH_ENGINE=docker in front"):
        engine.run("app", ["pytest"], mounts=["/a:/b"])
