"""Whole `docker compose` lines, as a person would type them."""

from __future__ import annotations

import shlex

import pytest

from berth import compose


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (compose.up(), "docker compose up --detach --wait"),
        (compose.up(["app", "db"]), "docker compose up --detach --wait app db"),
        (compose.up(["app"], build=True), "docker compose up --detach --wait --build app"),
        (compose.build(), "docker compose build"),
        (compose.build(["app"]), "docker compose build app"),
        (compose.build(no_cache=True, pull=True), "docker compose build --no-cache --pull"),
        (compose.logs(), "docker compose logs"),
        (compose.logs(["app", "db"], follow=True, tail="5"), "docker compose logs --follow --tail 5 app db"),
        (compose.logs(tail="0"), "docker compose logs --tail 0"),
        (compose.ps(), "docker compose ps --all"),
        (compose.ps_json(), "docker compose ps --all --format json"),
        (compose.config(), "docker compose config"),
        (compose.config_json(), "docker compose config --format json"),
        (compose.config_as_written(), "docker compose config --no-interpolate --format json"),
        (compose.stop(), "docker compose stop"),
        (compose.stop(["app"]), "docker compose stop app"),
        (compose.restart(["app", "db"]), "docker compose restart app db"),
        (compose.down(), "docker compose down --remove-orphans"),
        (compose.down(volumes=True), "docker compose down --remove-orphans --volumes"),
    ],
)
def test_line_is_whole(argv: list[str], line: str) -> None:
    assert shlex.join(argv) == line


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (compose.exec_("app", ["ls", "-la"], terminal=True), "docker compose exec app ls -la"),
        (compose.exec_("app", ["ls"], terminal=False), "docker compose exec -T app ls"),
        (
            compose.exec_("app", ["ls"], terminal=False, user="1000:1000"),
            "docker compose exec -T --user 1000:1000 app ls",
        ),
        (compose.run("app", ["ls"], terminal=True), "docker compose run --rm app ls"),
        (compose.run("app", ["ls"], terminal=False, dependencies=False), "docker compose run --rm -T --no-deps app ls"),
        (
            compose.run("app", ["ls"], terminal=False, user="0:0", volumes=["/a b:/c", "/d:/e"]),
            "docker compose run --rm -T --user 0:0 --volume '/a b:/c' --volume /d:/e app ls",
        ),
    ],
)
def test_terminal_is_left_out_unless_there_is_one(argv: list[str], line: str) -> None:
    assert shlex.join(argv) == line


@pytest.mark.parametrize("build", [compose.exec_, compose.run])
def test_command_keeps_its_words(build: object) -> None:
    words = ["sh", "-c", 'echo "a  b" $HOME', "--", ""]
    assert callable(build) and build("app", words, terminal=True)[-6:] == ["app", *words]
