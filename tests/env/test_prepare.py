"""What is said, through the real `inv`, of a `.env` that cannot be used; and which `.env` a checkout gets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from invoke import Context

from berth import env
from berth.env import prepare
from berth.errors import Refused
from berth.project import Project
from tests.dry_project import Result, copy, environment, invoke

# Nothing here needs an engine, so none may answer.
NO_ENGINE = {"BERTH_ENGINE": "embedded"}


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A project without `.env`."""
    folder = tmp_path / "shop"
    folder.mkdir()
    return copy(folder)


@pytest.fixture
def project(bare: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    prepare.make(Project(bare), set)
    capsys.readouterr()
    return bare


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def latin(path: Path) -> None:
    path.write_bytes(b"A=caf\xe9\n")


@pytest.mark.parametrize("name", [".env", ".env.template"])
@pytest.mark.parametrize("words", ["ps", "up"])
@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (directory, "{} is a folder: move it away, a file belongs there\n"),
        (dangling, "{} is a link to nowhere, which is not there: remove the link\n"),
        (latin, "{} cannot be read: line 1 is not UTF-8: save the file as UTF-8\n"),
    ],
)
def test_a_file_that_cannot_be_read_ends_in_one_line(
    project: Path, name: str, words: str, spoil: Callable[[Path], None], complaint: str
) -> None:
    spoil(project / name)

    assert invoke(project, words, **NO_ENGINE) == Result(1, "", complaint.format(name))


@pytest.mark.parametrize("name", [".env", ".env.template"])
def test_a_file_that_may_not_be_read_ends_in_one_line(project: Path, name: str) -> None:
    (project / name).chmod(0)
    # Root reads what it may not, unless it gives that up.
    as_others = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    made = subprocess.run(
        [*as_others, sys.executable, "-m", "invoke", "ps"],
        cwd=project,
        env=environment(**NO_ENGINE),
        capture_output=True,
        text=True,
        timeout=60,
    )

    message = f"{name} cannot be read (Permission denied): `ls -l {project / name}` shows whose it is\n"
    assert (made.returncode, made.stdout, made.stderr) == (1, "", message)


def test_a_template_that_is_missing_ends_in_one_line(project: Path) -> None:
    (project / ".env.template").unlink()

    message = f"there is no .env.template in {project}: it says which variables .env has to hold\n"
    assert invoke(project, "ps", **NO_ENGINE) == Result(1, "", message)


def set_in(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


FILE = "COMPOSE_FILE=docker/docker-compose.yml"


def test_an_empty_compose_file_is_refused(project: Path) -> None:
    set_in(project / ".env", FILE, "COMPOSE_FILE=")
    line = env.read(project / ".env", {}).lines["COMPOSE_FILE"]

    message = f"COMPOSE_FILE is empty: fill in line {line} of .env, as in `{FILE}`\n"
    assert invoke(project, "ps", **NO_ENGINE) == Result(1, "", message)


def test_an_empty_compose_file_of_the_environment_is_refused(project: Path) -> None:
    message = "COMPOSE_FILE is empty in the environment, which overrides .env: type `unset COMPOSE_FILE`\n"
    assert invoke(project, "ps", COMPOSE_FILE="", **NO_ENGINE) == Result(1, "", message)


def test_a_project_without_compose_file_is_refused(project: Path) -> None:
    set_in(project / ".env", FILE, "")
    set_in(project / ".env.template", FILE, "")

    message = f"COMPOSE_FILE is not set: add it to .env.template and .env, as in `{FILE}`\n"
    assert invoke(project, "ps", **NO_ENGINE) == Result(1, "", message)


def test_a_broken_value_is_named_by_its_variable_and_line(project: Path) -> None:
    set_in(project / ".env", "DB_NAME=app", "DB_NAME=my app")
    line = (project / ".env").read_text().split("\n").index("DB_NAME=my app") + 1

    message = (
        ".env does not match .env.template:\n"
        f"  - line {line}: DB_NAME has a value of more than one word: put it in single quotes\n"
    )
    assert invoke(project, "ps", **NO_ENGINE) == Result(1, "", message)


def values(folder: Path) -> dict[str, str]:
    return dict(env.read(folder / ".env", {}).values)


def test_a_project_is_named_after_its_folder_or_as_nobody_else(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare.make(Project(bare), lambda: {"shop", "shop-2"})

    assert values(bare)["COMPOSE_PROJECT_NAME"] == "shop-3"
    assert "the engine has a project `shop` already; this one is `shop-3`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("caller", "owner", "ids"),
    [((1000, 100), (0, 0), ("1000", "100")), ((0, 0), (1001, 101), ("1001", "101")), ((0, 0), (0, 0), None)],
)
def test_services_run_as_the_caller_or_as_who_owns_the_checkout_but_never_as_root(
    bare: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caller: tuple[int, int],
    owner: tuple[int, int],
    ids: tuple[str, str] | None,
) -> None:
    monkeypatch.setattr("os.getuid", lambda: caller[0])
    monkeypatch.setattr("os.getgid", lambda: caller[1])
    if os.geteuid() != 0:
        pytest.skip("only root gives a folder to somebody else")
    os.chown(bare, *owner)
    prepare.make(Project(bare), set)
    values = env.read(bare / ".env", {}).values
    assert (values.get("HOST_UID"), values.get("HOST_GID")) == (ids or (None, None))
    said = capsys.readouterr().err
    assert ("you are root: the services run as user 10001, who may write nothing here" in said) == (ids is None)


@pytest.mark.parametrize(("taken", "name"), [(set(), "store"), ({"store"}, "store-2")])
def test_the_project_name_of_the_template_is_kept(bare: Path, taken: set[str], name: str) -> None:
    set_in(bare / ".env.template", "COMPOSE_PROJECT_NAME=", "COMPOSE_PROJECT_NAME='store'")

    prepare.make(Project(bare), lambda: taken)

    assert values(bare)["COMPOSE_PROJECT_NAME"] == name


def git(folder: Path, *words: str) -> str:
    made = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return made.stdout


@pytest.mark.parametrize("exclude", [None, "", "*.log", "*.log\n"])
def test_git_does_not_take_in_the_secrets_of_a_project_that_ignores_nothing(
    bare: Path, exclude: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    (bare / ".gitignore").unlink(missing_ok=True)
    git(bare, "init", "--quiet")
    path = bare / ".git" / "info" / "exclude"
    path.unlink(missing_ok=True)
    if exclude is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(exclude)
    prepare.make(Project(bare), set)
    capsys.readouterr()

    prepare.keep_out_of_git(Context(), Project(bare))
    assert "git ignores .env in this checkout" in capsys.readouterr().err
    git(bare, "add", "--all")
    assert ".env" not in git(bare, "ls-files").splitlines()
    assert path.read_text().startswith((exclude or "").strip())

    prepare.keep_out_of_git(Context(), Project(bare))
    assert capsys.readouterr().err == ""


def test_what_git_ignores_already_and_what_is_no_repository_stays(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare.keep_out_of_git(Context(), Project(project))
    git(project, "init", "--quiet")
    before = (project / ".git" / "info" / "exclude").read_bytes()
    (project / ".gitignore").write_text(".env\n")
    prepare.keep_out_of_git(Context(), Project(project))
    assert (project / ".git" / "info" / "exclude").read_bytes() == before
    assert capsys.readouterr().err == ""


def test_a_folder_that_may_not_be_written_is_refused(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(env, "write_new", refuse)
    with pytest.raises(Refused) as caught:
        prepare.make(Project(bare), set)

    assert str(caught.value) == f".env cannot be made in {bare} (Permission denied): let your user write there"


def test_a_copied_env_gets_a_name_and_ports_of_its_own(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        set_in(project / ".env.template", "# DB_PUBLISHED_PORT=5432", f"# DB_PUBLISHED_PORT={taken}")
        text = env.with_values(
            (project / ".env").read_text(),
            {"COMPOSE_PROJECT_NAME": "other", "APP_PUBLISHED_PORT": "8000", "DB_PUBLISHED_PORT": "15432"},
        )
        (project / ".env").write_text(text)
        before = values(project)

        written = prepare.separate(Project(project), lambda: {"shop"})

    after = values(project)
    assert written["COMPOSE_PROJECT_NAME"] == "shop-2"
    assert int(written["APP_PUBLISHED_PORT"]) > 8000
    assert int(written["DB_PUBLISHED_PORT"]) > taken
    assert int(written["BROKER_PUBLISHED_PORT"]) > 0
    assert len(set(written.values())) == 5
    assert after == {**before, **written}


def test_a_copied_env_loses_the_name_even_where_the_other_checkout_has_nothing_yet(project: Path) -> None:
    assert values(project)["COMPOSE_PROJECT_NAME"] == "shop"

    assert prepare.separate(Project(project), set)["COMPOSE_PROJECT_NAME"] == "shop-2"
