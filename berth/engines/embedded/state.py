"""Know the folder `.berth/embedded`: where it lies, and where in it the services have what."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from berth.engines.embedded import leftovers
from berth.errors import Refused
from berth.project import STATE, Project

NAME = "embedded"
UNPRIVILEGED = "nobody"
"""Whom a server runs as that root starts; PostgreSQL's initdb insists on a user with a name."""
FAR_AWAY = Path("/var/lib/berth")
"""Where the state of a checkout lies that this user may not enter."""
LONGEST = 88
"""Bytes of a socket's path: macOS takes 104, and the supervisor adds some while it makes one."""

Ids = tuple[int, int]
"""The ids of a user and of a group."""


class State(NamedTuple):
    """What the services keep and need when they run without containers.

    :param root: the checkout.
    :param folder: the folder of all this; where `.berth/embedded` is a link, what that leads to.
    """

    root: Path
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
        """The description of each service, with its secrets; for the caller only."""
        return self.folder / "services"

    @property
    def passwords(self) -> Path:
        """Files of passwords, each for the user of a service; nobody but the caller writes here."""
        return self.folder / "passwords"

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

    @property
    def pid_file(self) -> Path:
        """The supervisor's."""
        return self.run / "supervisord.pid"

    @property
    def socket(self) -> Path:
        """Where the supervisor is asked: here, or where that path is too long for a socket, in a folder of ours.

        It depends on the checkout and on nothing else, so that each command asks in the same place.
        """
        path = self.run / "supervisor.sock"
        if len(str(path).encode()) <= LONGEST:
            return path
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        return Path(f"/tmp/berth-{os.geteuid()}") / f"{digest}.sock"

    def is_python(self, role: str) -> bool:
        """Tell whether the server of that role runs on a Python that may be the caller's, as its install script left
        word."""
        return (self.servers / f"{role}-in-python").exists()

    def in_memory(self) -> dict[str, Path]:
        """Return what servers wrote that keep messages in memory only, by service; see `messages`."""
        found = {path.parent.name: path for path in sorted(self.run.glob("*/in-memory"))}
        # They run as the caller: whatever another user left there says nothing.
        return {service: path for service, path in found.items() if path.lstat().st_uid == os.geteuid()}

    def short(self, path: Path) -> str:
        """Return ``path`` as one types it in the checkout's root."""
        for folder, name in ((self.folder, Path(STATE, NAME)), (self.root, Path())):
            if path.is_relative_to(folder):
                return str(name / path.relative_to(folder))
        return str(path)


def of(here: Project) -> State:
    """Return the state of a checkout, which need not be there yet."""
    return State(here.root, (here.state / NAME).resolve())


def unprivileged() -> Ids | None:
    """Return the ids of whom servers run as, None for the caller's own.

    :raises Refused: root has nobody to be.
    """
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise Refused(
            f"PostgreSQL does not run as root, and there is no user `{UNPRIVILEGED}`: use another user"
        ) from None
    return found.pw_uid, found.pw_gid


def make(here: Project) -> State:
    """Make the folder of the state; elsewhere, if root's servers could not get at it here.

    :raises Refused: see `unprivileged` and `_adopt`; or the folder for a socket is not ours alone.
    """
    link = here.state / NAME
    if not link.exists():
        user = unprivileged()
        here.state.mkdir(mode=0o755, exist_ok=True)
        if user is None or _may_enter(here.state, user):
            link.mkdir(mode=0o755)
        else:
            _link(link, here)
    state = of(here)
    _adopt(here.state.resolve(), state)
    if state.socket.parent != state.run:
        make_private(state.socket.parent)
    return state


@contextlib.contextmanager
def locked(state: State) -> Iterator[None]:
    """Let one command at a time change what runs here."""
    with open(state.folder / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another command in this checkout", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _link(link: Path, here: Project) -> None:
    digest = hashlib.sha256(str(here.root).encode()).hexdigest()[:12]
    elsewhere = FAR_AWAY / f"{here.root.name}-{digest}"
    elsewhere.mkdir(parents=True, exist_ok=True, mode=0o755)
    if not link.is_symlink():
        link.symlink_to(elsewhere)
    reason = f"{UNPRIVILEGED}, as whom PostgreSQL runs, may not enter {here.root}"
    print(f"{reason}: {STATE}/{NAME} is a link to {elsewhere}", file=sys.stderr)


def _adopt(before: Path, state: State) -> None:
    """Move the data to where it belongs from where an older Berth kept it.

    :raises Refused: that one's services run, or the data lies on another file system.
    """
    old = before / "data"
    if not old.is_dir() or state.data.exists():
        return
    for found in leftovers.supervisors(state.root, f"{STATE}/{state.supervisor.name}"):
        raise Refused(f"the services run as an older Berth started them: type `kill {found.pid}`, repeat the command")
    try:
        old.rename(state.data)
    except OSError as error:
        raise Refused(f"{old} cannot be moved to {state.data} ({error.strerror}): move it, with its owners") from None
    print(
        f"the data of an older Berth is in {STATE}/{NAME}/data now; all else in {old.parent} is not needed any more",
        file=sys.stderr,
    )


def make_private(folder: Path) -> None:
    """Make a folder below one that everybody may write, unless it is there.

    :raises Refused: it is, but not ours alone.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise Refused(f"{folder}, for the supervisor's socket, is not yours alone: remove it, and repeat the command")


def _may_enter(folder: Path, user: Ids) -> bool:
    """Tell whether ``user`` may pass through ``folder`` and all above it; groups other than its own do not count."""
    for path in [folder.resolve(), *folder.resolve().parents]:
        found = path.stat()
        bit = 0o100 if found.st_uid == user[0] else 0o010 if found.st_gid == user[1] else 0o001
        if not found.st_mode & bit:
            return False
    return True
