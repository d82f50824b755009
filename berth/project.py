"""Know the paths of a project; nothing else in Berth does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from invoke import Context

STATE = ".berth"
TASKS = "berth_tasks.py"
"""What stands in for tasks.py where the project has one of its own."""


class Project(NamedTuple):
    """A checkout that is driven by Berth.

    :param root: the folder of tasks.py; `docker compose` runs there.
    """

    root: Path

    @property
    def env_file(self) -> Path:
        return self.root / self.env_template.name.removesuffix(".template")

    @property
    def env_template(self) -> Path:
        """The manual of the variables; `berth init` gives it another name where the project has a `.env` of its own."""
        own = self.root / ".env.berth.template"
        return own if own.exists() else self.root / ".env.template"

    @property
    def reports(self) -> Path:
        """The folder for what test runs leave: JUnit and coverage files."""
        return self.root / "reports"

    @property
    def requirements(self) -> Path:
        """The folder of the project's locks."""
        return self.root / "requirements"

    @property
    def broker(self) -> Path:
        """The folder of the broker's files, the definition of the queues among them."""
        return self.root / "docker/broker"

    @property
    def state(self) -> Path:
        """The folder of what Berth keeps in a checkout: ignored by git, left out of images."""
        return self.root / STATE

    def command(self) -> str:
        """Return what a user types to run a task here: the launcher, where the project has one.

        `inv` would read a tasks.py that is the project's own; `berth` reads berth_tasks.py first.
        """
        if (self.root / TASKS).exists():
            return "berth"
        return "./inv" if (self.root / "inv").exists() else "inv"


def current(c: Context) -> Project:
    """Return the project of the tasks.py that Invoke loaded; see `berth.tasks`."""
    return Project(root=Path(c.config.berth.root))


def caller() -> str:
    """Return the `uid:gid` of whoever runs the task."""
    return f"{os.getuid()}:{os.getgid()}"
