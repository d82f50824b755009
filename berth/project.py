"""Know the paths of a project; nothing else in Berth does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from invoke import Context

STATE = ".berth"


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

    @property
    def requirements(self) -> Path:
        """The folder of the locks."""
        return self.root / "requirements"

    @property
    def without_containers(self) -> Path:
        """The folder of what starts services that have no image here."""
        return self.root / "docker" / "embedded"

    @property
    def state(self) -> State:
        # Its folder may be a link, and what it leads to be open to users who may not enter the checkout.
        return State((self.root / STATE).resolve())

    def short(self, path: Path) -> str:
        """Return ``path`` as one types it in the project's root."""
        state = self.state.folder
        return str(Path(STATE) / path.relative_to(state) if path.is_relative_to(state) else path.relative_to(self.root))

    def command(self) -> str:
        """Return what a user types to run a task here: the launcher, where the project has one."""
        return "./inv" if (self.root / "inv").exists() else "inv"


class State(NamedTuple):
    """What the services keep and need when they run without containers.

    :param folder: the folder of all this, ignored by git and left out of images.
    """

    folder: Path

    @property
    def tools(self) -> Path:
        """The virtualenv of the servers, of the supervisor and of Compose."""
        return self.folder / "tools"

    @property
    def packages(self) -> Path:
        """The virtualenv of the project."""
        return self.folder / "packages"

    @property
    def servers(self) -> Path:
        """What the install scripts leave."""
        return self.folder / "servers"

    @property
    def bin(self) -> Path:
        """The commands that an image would hold."""
        return self.folder / "bin"

    @property
    def mounts(self) -> Path:
        """Copies of the files that would be mounted, by service."""
        return self.folder / "mounts"

    @property
    def services(self) -> Path:
        """The description of each service, with its secrets."""
        return self.folder / "services"

    @property
    def data(self) -> Path:
        """What outlives `down`, by service."""
        return self.folder / "data"

    @property
    def run(self) -> Path:
        """What is of no use once the services are down."""
        return self.folder / "run"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def supervisor(self) -> Path:
        """The configuration of the supervisor."""
        return self.folder / "supervisord.conf"


def of(c: Context) -> Project:
    """Return the project of the tasks.py that Invoke loaded; see `berth.collection`."""
    return Project(root=Path(c.config.berth.root))


def caller() -> str:
    """Return the `uid:gid` of whoever runs the task."""
    return f"{os.getuid()}:{os.getgid()}"
