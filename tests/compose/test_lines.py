"""Whole `docker compose` lines, as a person would type them."""

from __future__ import annotations

import shlex

import pytest

from berth.compose import lines


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (lines.up(), "docker compose up --detach --wait"),
        (lines.up(["app", "db"]), "docker compose up --detach --wait app db"),
        (lines.up(["db"], wait=False), "docker compose up --detach db"),
        (lines.up(["app"], build=True), "docker compose up --detach --wait --build app"),
        (lines.build(), "docker compose build"),
        (lines.build(["app"]), "docker compose build app"),
        (lines.build(no_cache=True, pull=True), "docker compose build --no-cache --pull"),
        (lines.logs(), "docker compose logs"),
        (lines.logs(["app", "db"], follow=True, tail="5"), "docker compose logs --follow --tail 5 app db"),
        (lines.logs(tail="0"), "docker compose logs --tail 0"),
        (lines.ps(), "docker compose ps --all"),
        (lines.ps_json(), "docker compose ps --all --format json"),
        (lines.config(), "docker compose config"),
        (lines.config_json(), "docker compose config --format json"),
        (lines.config_as_written(), "docker compose config --no-interpolate --format json"),
        (lines.stop(), "docker compose stop"),
        (lines.stop(["app"]), "docker compose stop app"),
        (lines.restart(["app", "db"]), "docker compose restart app db"),
        (lines.down(), "docker compose down --remove-orphans"),
        (lines.down(volumes=True), "docker compose down --remove-orphans --volumes"),
    ],
)
def test_line_is_whole(argv: list[str], line: str) -> None:
    assert shlex.join(argv) == line


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (lines.exec_("app", ["ls", "-la"], terminal=True), "docker compose exec app ls -la"),
        (lines.exec_("app", ["ls"], terminal=False), "docker compose exec -T app ls"),
        (
            lines.exec_("app", ["ls"], terminal=False, user="1000:1000"),
            "docker compose exec -T --user 1000:1000 app ls",
        ),
        (
            lines.exec_("app", ["ls"], terminal=True, mark="1f", user="root"),
            "docker compose exec --env BERTH_EXEC=1f --user root app ls",
        ),
        (lines.run("app", ["ls"], terminal=True), "docker compose run --rm app ls"),
        (lines.run("app", ["ls"], terminal=False, dependencies=False), "docker compose run --rm -T --no-deps app ls"),
        (
            lines.run("app", ["ls"], terminal=False, user="0:0", volumes=["/a b:/c", "/d:/e"]),
            "docker compose run --rm -T --user 0:0 --volume '/a b:/c' --volume /d:/e app ls",
        ),
    ],
)
def test_terminal_is_left_out_unless_there_is_one(argv: list[str], line: str) -> None:
    assert shlex.join(argv) == line


@pytest.mark.parametrize("build", [lines.exec_, lines.run])
def test_command_keeps_its_words(build: object) -> None:
    words = ["sh", "-c", 'echo "a  b" $HOME', "--", ""]
    assert callable(build) and build("app", words, terminal=True)[-6:] == ["app", *words]
