"""What becomes of the engine's words."""

from __future__ import annotations

import pytest

from berth.engines.docker import versions

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
    assert versions.complaint(stderr) == complaint


OLD = "is too old, Berth needs"
COMPOSE_SITE = "https://docs.docker.com/compose/install/"


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (("28.5.2\n", "2.26.1-4\n", ""), None),
        (("28.5.2\n", "v5.6.1\n", "github.com/docker/buildx 0.29.1+ds1\n"), None),
        (("25.0.0\n", "2.24.0\n", ""), None),
        (("28.5.2\n", "", ""), f"Docker has no Compose plugin: install it, see {COMPOSE_SITE}"),
        (("28.5.2\n", "2.17.3\n", ""), f"Compose 2.17.3 {OLD} 2.24 or newer: update it, see {COMPOSE_SITE}"),
        (
            ("20.10.24+dfsg1\n", "2.26.1\n", ""),
            f"Docker Engine 20.10.24+dfsg1 {OLD} 25.0 or newer: update it, see https://docs.docker.com/engine/install/",
        ),
        (
            ("28.5.2\n", "5.6.1\n", "github.com/docker/buildx v0.11.2 9872040\n"),
            f"buildx 0.11 {OLD} 0.17 or newer: update it, see https://github.com/docker/buildx#installing",
        ),
        (
            ("28.5.2\n", "5.6.1\n", ""),
            "Compose 5.6.1 builds with buildx, which is not installed: see https://github.com/docker/buildx#installing",
        ),
    ],
)
def test_old_and_missing_tools_are_named_with_the_cure(found: tuple[str, str, str], complaint: str | None) -> None:
    assert versions.version_complaint(*found) == complaint


@pytest.mark.parametrize(
    ("environ", "config", "path"),
    [
        ({}, "", "/var/run/docker.sock"),
        ({}, '{"currentContext": "default"}', "/var/run/docker.sock"),
        ({"DOCKER_HOST": "unix:///run/user/1/docker.sock"}, '{"currentContext": "x"}', "/run/user/1/docker.sock"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:2375"}, "", None),
        ({}, '{"currentContext": "desktop-linux"}', None),
        ({"DOCKER_CONTEXT": "remote"}, "", None),
        ({"DOCKER_CONTEXT": "default"}, '{"currentContext": "x"}', "/var/run/docker.sock"),
        ({}, "no json", None),
        ({}, "[]", None),
    ],
)
def test_socket_is_known_where_no_other_context_is_meant(
    environ: dict[str, str], config: str, path: str | None
) -> None:
    assert versions.socket(environ, config) == path
