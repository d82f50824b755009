"""Know the paths of a project; nothing else in Berth does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from invoke import Context


class Project(NamedTuple):
    """A checkout that is driven by Berth.

    :param root: the folder of tasks.py; `docker compose` runs there.
    """

    root: Path

    @property
    def env_file(self) -> Path:
        return self.root / ".env"

    @property
    def env_template(self) -> Path:
        return self.root / ".env.template"

    @property
    def base_images(self) -> Path:
        """The folder of recipes that replace upstream images."""
        return self.root / "docker" / "base-images"

    @property
    def reports(self) -> Path:
        """The folder for what test runs leave: JUnit and coverage files."""
        return self.root / "reports"

    def command(self) -> str:
        """Return what a user types to run a task here: the launcher, where the project has one."""
        return "./inv" if (self.root / "inv").exists() else "inv"


def of(c: Context) -> Project:
    """Return the project of the tasks.py that Invoke loaded; see `berth.collection`."""
    return Project(root=Path(c.config.berth.root))


def caller() -> str:
    """Return the `uid:gid` of whoever runs the task."""
    return f"{os.getuid()}:{os.getgid()}"
