"""`berth init` as a command, in projects of our own: new files only, and nothing of theirs runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from init import shapes
from test_compose_files import compose

from berth import env

ROOT = Path(__file__).parents[2]


def berth(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `berth` where nobody can be asked."""
    return subprocess.run(
        [sys.executable, "-m", "berth", *words], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
            and path.parent.name != "__pycache__"}  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project whose settings would leave a trace if anybody ran them."""
    canary = f'Path({str(tmp_path / "executed")!r}).write_text("")\n'
    return shapes.write(tmp_path / "shop", shapes.project(shapes.URL + canary, more=shapes.REQUIREMENTS))


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_new_files_are_written_and_no_code_of_the_project_runs(shop: Path) -> None:
    before = contents(shop)
    ok(berth(shop, "init"))
    after = contents(shop)
    assert {path: after[path] for path in before} == before
    assert {"tasks.py", ".env.template", "docker/docker-compose.yml", "docker/app/Dockerfile"} <= after.keys()
    assert not (shop.parent / "executed").exists()


def test_a_second_run_changes_nothing_and_a_check_passes(shop: Path) -> None:
    ok(berth(shop, "init"))
    before = contents(shop)
    assert ok(berth(shop, "init")).startswith("nothing to do")
    ok(berth(shop, "init", "--check"))
    assert contents(shop) == before


def test_the_env_that_up_makes_of_the_template_is_none_of_the_project(shop: Path) -> None:
    ok(berth(shop, "init"))
    (shop / ".env").write_text("DB_PASSWORD=made\n")
    assert ok(berth(shop, "init")).startswith("nothing to do")


def test_a_check_names_what_was_changed(shop: Path) -> None:
    ok(berth(shop, "init"))
    (shop / "tasks.py").write_text("# mine\n")
    done = berth(shop, "init", "--check")
    assert done.returncode == 1
    assert "changed tasks.py" in done.stderr


def test_a_dry_run_writes_nothing_and_shows_facts_decisions_and_a_diff_that_makes_all_files(shop: Path) -> None:
    before = contents(shop)
    shown = ok(berth(shop, "init", "--dry-run"))
    assert contents(shop) == before
    facts, _, rest = shown.partition("\nproject   manage.py\n")
    assert "settings.development" in facts
    diff = rest[rest.index("--- /dev/null\n") :]
    subprocess.run(["git", "apply", "-"], cwd=shop, input=diff, text=True, check=True)
    applied = contents(shop)
    for path in applied.keys() - before.keys():
        (shop / path).unlink()
    ok(berth(shop, "init"))
    assert applied == contents(shop)


def test_a_dry_run_of_an_adopted_project_shows_what_is_otherwise(shop: Path) -> None:
    ok(berth(shop, "init"))
    (shop / "tasks.py").write_text("# mine\n")
    shown = ok(berth(shop, "init", "--dry-run"))
    diff = shown[shown.index("--- a/") :].splitlines()
    assert [line for line in diff if line.startswith("+++")] == ["+++ b/tasks.py"]
    assert "-# mine" in diff


def test_a_dry_run_is_paged_on_a_terminal(shop: Path) -> None:
    child = pexpect.spawn(
        sys.executable, ["-m", "berth", "init", "--dry-run"], cwd=str(shop), encoding="utf-8", timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PAGER": "sed s/^/paged:/", "CI": ""},
    )  # fmt: skip
    child.expect_exact("paged:+++ b/tasks.py")
    child.expect(pexpect.EOF)
    assert child.wait() == 0


def test_names_stay_whatever_the_project_gets_afterwards(shop: Path) -> None:
    ok(berth(shop, "init"))
    shapes.write(shop, {"docker/cache/cache.conf": "size 1\n"})
    assert ok(berth(shop, "init")).startswith("nothing to do")


def test_a_checkout_in_a_folder_of_another_name_is_as_it_was_written(shop: Path) -> None:
    ok(berth(shop, "init"))
    other = shop.rename(shop.with_name("shop-of-mine"))
    assert ok(berth(other, "init")).startswith("nothing to do")


def test_what_was_written_goes_away_again_and_what_was_changed_stays(shop: Path) -> None:
    before = contents(shop)
    ok(berth(shop, "init"))
    (shop / "tasks.py").write_text("# mine\n")
    ok(berth(shop, "init", "--remove"))
    assert contents(shop) == {**before, "tasks.py": b"# mine\n"}


def test_a_question_that_nobody_can_be_asked_names_the_option(tmp_path: Path) -> None:
    shop = shapes.write(tmp_path, shapes.project(shapes.SQLITE, more=shapes.REQUIREMENTS))
    before = contents(shop)
    done = berth(shop, "init")
    assert done.returncode == 1
    assert "--answer database=postgresql" in done.stderr
    assert contents(shop) == before


def test_answers_come_from_a_file_too(tmp_path: Path) -> None:
    shop = shapes.write(tmp_path / "shop", shapes.project(shapes.SQLITE, more=shapes.REQUIREMENTS))
    (tmp_path / "answers").write_text("database=postgresql\npython=3.12\n")
    ok(berth(shop, "init", "--answers", str(tmp_path / "answers")))
    assert "from shop.settings import *" in (shop / "berth_settings.py").read_text()


def test_files_of_the_project_are_never_overwritten_and_its_tasks_never_run(shop: Path) -> None:
    theirs = {"tasks.py": "raise SystemExit('they ran')\n", ".env": "A=1\n", "noxfile.py": "# theirs\n",
              "docker/Dockerfile": "FROM scratch\n"}  # fmt: skip
    before = contents(shapes.write(shop, theirs))
    ok(berth(shop, "init"))
    after = contents(shop)
    assert {path: after[path] for path in before} == before
    assert {"berth_tasks.py", ".env.berth.template", "berth-docker/docker-compose.yml"} <= after.keys()
    assert ok(berth(shop, "--list")).count("db.snapshot ") > 0
    assert ok(berth(shop, "init")).startswith("nothing to do")


def test_a_file_that_has_no_other_name_is_refused(shop: Path) -> None:
    shapes.write(shop, {"docker/Dockerfile": "FROM scratch\n", "berth-docker/a": ""})
    before = contents(shop)
    done = berth(shop, "init")
    assert done.returncode == 1
    assert "cannot, because the project has docker and berth-docker already" in done.stderr
    assert contents(shop) == before


@pytest.mark.parametrize("database", [shapes.URL, shapes.SEPARATE, shapes.SWITCH])
def test_compose_resolves_what_the_template_gives(tmp_path: Path, database: str) -> None:
    shop = shapes.write(tmp_path, shapes.project(database, more=shapes.REQUIREMENTS))
    ok(berth(shop, "init"))
    made = env.create(env.read_text(shop / ".env.template"), {"project name": lambda _: "shop"})
    (shop / ".env").write_text(made)
    done = subprocess.run(
        [*compose(), "config", "--format", "json"], cwd=shop, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    services = json.loads(ok(done))["services"]
    assert set(services) == {"db", "migrate", "app"}
    environment = services["app"]["environment"]
    password = env.parse(made, {}).values["DB_PASSWORD"]
    theirs = environment.get("DATABASE_URL") or environment["PG_PASS"]
    assert password in theirs
