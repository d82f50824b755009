"""`docker` lines, and what becomes of the engine's words."""

from __future__ import annotations

import pytest

from berth import engine


def test_lines_are_whole() -> None:
    assert engine.version() == ["docker", "version", "--format", "{{.Server.Version}}"]
    assert engine.inspect(["shop-db-1", "shop-web-1"]) == ["docker", "container", "inspect", "shop-db-1", "shop-web-1"]
    assert engine.images() == ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]


NO_ENGINE = (
    "no Docker engine answers: start Docker Desktop, or type `sudo systemctl start docker`, and repeat the command; "
    "to install one, see https://docs.docker.com/engine/install/"
)


@pytest.mark.parametrize(
    ("stderr", "complaint"),
    [
        ("", NO_ENGINE),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n",
            NO_ENGINE
            + " (Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?)",
        ),
        ("WARNING: a file\nno such host\n", f"{NO_ENGINE} (no such host)"),
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock\n",
            "you may not use the Docker engine: type `sudo usermod -aG docker $USER`, log in again, "
            "and repeat the command",
        ),
    ],
)
def test_complaint_says_what_to_do(stderr: str, complaint: str) -> None:
    assert engine.complaint(stderr) == complaint


NO_PLUGIN = "Docker has no Compose plugin: install it, see https://docs.docker.com/compose/install/"


@pytest.mark.parametrize(
    ("stderr", "complaint"),
    [
        ("docker: 'compose' is not a docker command.\nSee 'docker --help'\n", NO_PLUGIN),
        ("unknown shorthand flag: 'f' in -f\n", NO_PLUGIN),
        ("yaml: line 3: mapping values are not allowed\n", "yaml: line 3: mapping values are not allowed"),
    ],
)
def test_missing_plugin_is_told_from_a_refused_file(stderr: str, complaint: str) -> None:
    assert engine.compose_complaint(stderr) == complaint
