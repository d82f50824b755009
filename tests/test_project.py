"""Where things are in a project."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from invoke import Config, Context

from berth import project
from berth.project import Project
from berth.tasks import collection


def test_paths_are_below_the_root() -> None:
    here = Project(Path("/src/shop"))
    assert [here.env_file, here.env_template, here.requirements, here.reports, here.state] == [
        Path("/src/shop/.env"),
        Path("/src/shop/.env.template"),
        Path("/src/shop/requirements"),
        Path("/src/shop/reports"),
        Path("/src/shop/.berth"),
    ]


def test_launcher_is_the_command_where_there_is_one(tmp_path: Path) -> None:
    assert Project(tmp_path).command() == "inv"
    (tmp_path / "inv").touch()
    assert Project(tmp_path).command() == "./inv"


def test_root_is_the_folder_of_tasks_py(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "link").symlink_to("shop")
    configuration = collection(str(tmp_path / "link" / "tasks.py")).configuration()
    assert project.current(Context(Config(overrides=configuration))) == Project(tmp_path / "shop")


def test_caller_is_who_id_says() -> None:
    ids = [subprocess.check_output([shutil.which("id") or "id", option], text=True).strip() for option in ("-u", "-g")]
    assert project.caller() == ":".join(ids) == f"{os.getuid()}:{os.getgid()}"
