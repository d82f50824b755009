"""Whole `docker` lines."""

from __future__ import annotations

import shlex

import pytest

from berth.engines.docker import lines


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (lines.version(), "docker version --format '{{.Server.Version}}'"),
        (lines.inspect(["shop-db-1", "shop-web-1"]), "docker container inspect shop-db-1 shop-web-1"),
        (lines.images(), "docker image ls --format '{{.Repository}}:{{.Tag}}'"),
        (lines.image_id("shop-app:dev"), "docker image inspect --format '{{.Id}}' shop-app:dev"),
        (lines.tag("shop-app:prod", "shop-app:1f"), "docker tag shop-app:prod shop-app:1f"),
        (
            lines.working_folders("shop"),
            "docker container ls --all --filter label=com.docker.compose.project=shop "
            """--format '{{.Label "com.docker.compose.project.working_dir"}}'""",
        ),
    ],
)
def test_line_is_whole(argv: list[str], line: str) -> None:
    assert shlex.join(argv) == line
