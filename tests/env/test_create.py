"""How the first `.env` is made, and how files are written."""

from __future__ import annotations

import os
import re
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth import env

TEMPLATE = """\
# Name of the Compose project.
#: project name
COMPOSE_PROJECT_NAME=

# Signs sessions.
#: secret
SECRET_KEY=

# Tag of the images.
TAG='a b'  # a default

# CA bundle for builds.
#: ca bundle
# CA_BUNDLE=
"""


def test_the_first_env_keeps_the_template_and_fills_in_what_can_be_made() -> None:
    created = env.create(TEMPLATE, {"project name": lambda _: "shop", "ca bundle": lambda _: None})

    secret = env.parse(created, {}).values["SECRET_KEY"]
    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert created == TEMPLATE.replace("NAME=", "NAME=shop").replace("SECRET_KEY=", f"SECRET_KEY={secret}")
    assert env.problems(env.parse(created, {}), env.parse_template(TEMPLATE)) == []
    assert env.create(TEMPLATE, {"project name": lambda _: "shop"}) != created


def test_an_optional_variable_becomes_active_when_its_value_could_be_made() -> None:
    created = env.create("# Port.\n#: free port\n# PORT=8000\n", {"free port": lambda one: int(one.default) + 1})

    assert created == "# Port.\n#: free port\nPORT=8001\n"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("shop", "shop"),
        ("My Shop", "my-shop"),
        (".config", "config"),
        ("_my_app-2_", "my_app-2"),
        ("Größe & Café", "grosse-cafe"),
        ("日本", "project"),
        ("", "project"),
        ("9.1", "9-1"),
        ("shop-_2__a", "shop-2-a"),
    ],
)
def test_a_project_is_named_after_its_folder(folder: str, name: str) -> None:
    assert env.project_name(folder) == name


@given(st.text())
def test_every_folder_gives_a_valid_project_name(folder: str) -> None:
    assert re.fullmatch("[a-z0-9]+([_-][a-z0-9]+)*", env.project_name(folder))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        env.write_new(tmp_path / ".env", "A=ü\r\n")
    finally:
        os.umask(before)

    assert (tmp_path / ".env").read_bytes() == b"A=\xc3\xbc\r\n"
    assert mode(tmp_path / ".env") == 0o600
    assert os.listdir(tmp_path) == [".env"]


def test_a_new_file_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=mine")
    (tmp_path / "link").symlink_to("nowhere")

    for name in (".env", "link"):
        with pytest.raises(FileExistsError):
            env.write_new(tmp_path / name, "A=theirs")

    assert (tmp_path / ".env").read_text() == "A=mine"
    assert os.readlink(tmp_path / "link") == "nowhere"
    assert sorted(os.listdir(tmp_path)) == [".env", "link"]


def test_of_two_writers_one_wins_and_the_other_learns_of_it(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    won, lost = [], []

    def write(number: int) -> None:
        barrier.wait()
        try:
            env.write_new(tmp_path / ".env", f"A={number}\n" * 10_000)
        except FileExistsError:
            lost.append(number)
        else:
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(won), len(lost)) == (1, 7)
    assert (tmp_path / ".env").read_text() == f"A={won[0]}\n" * 10_000


@pytest.mark.parametrize("permissions", [0o600, 0o640])
def test_a_replaced_file_keeps_its_permissions(tmp_path: Path, permissions: int) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1")
    path.chmod(permissions)

    env.replace(path, "A=2\r\n")

    assert path.read_bytes() == b"A=2\r\n"
    assert mode(path) == permissions
    assert os.listdir(tmp_path) == [".env"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can own files of others")
def test_a_replaced_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1")
    os.chown(path, 1234, 20)

    env.replace(path, "A=2")

    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 20)


def test_a_replaced_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "real.env"
    target.write_text("A=1")
    (tmp_path / ".env").symlink_to("elsewhere/real.env")

    env.replace(tmp_path / ".env", "A=2")

    assert (tmp_path / ".env").is_symlink()
    assert target.read_text() == "A=2"
    assert os.listdir(tmp_path / "elsewhere") == ["real.env"]


def test_a_missing_file_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        env.replace(tmp_path / ".env", "A=1")

    assert os.listdir(tmp_path) == []
