"""Write the lines that drive the supervisor of a checkout, and ask it for its processes."""

from __future__ import annotations

import hashlib
import http.client
import socket as sockets
import tempfile
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from berth.project import Project, State

Argv = list[str]

# A socket's path has 104 bytes on macOS, and the supervisor adds some while it makes it.
LONGEST = 88


@dataclass(frozen=True)
class Process:
    """A process of a program.

    :param state: the supervisor's word: STOPPED, RUNNING, STOPPING, EXITED or FATAL.
    :param started: when it was started last, in seconds; 0: never.
    """

    service: str
    name: str
    state: str
    exit_code: int
    started: int
    pid: int


def socket(state: State) -> Path:
    """Return where the supervisor is asked: in the checkout, unless its path is too long for a socket."""
    path = state.run / "supervisor.sock"
    if len(str(path).encode()) <= LONGEST:
        return path
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"berth-{digest}.sock"


def start_supervisor(here: Project) -> Argv:
    return _line(here, "supervisord")


def control(here: Project, *words: str) -> Argv:
    return [*_line(here, "supervisorctl"), *words]


def _line(here: Project, command: str) -> Argv:
    return [here.short(here.state.tools / "bin" / command), "-c", here.short(here.state.supervisor)]


def answers(path: Path) -> bool:
    """Tell whether a supervisor listens there; a socket that a killed one left does not."""
    with sockets.socket(sockets.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def pid(path: Path) -> int:
    """Return the process id of the supervisor that listens there. :raises OSError: none does."""
    return int(_server(path).supervisor.getPID())


def processes(path: Path) -> list[Process]:
    """Return the processes of the supervisor that listens there.

    :raises OSError: none does.
    """
    found: Sequence[dict[str, Any]] = _server(path).supervisor.getAllProcessInfo()
    return [
        Process(
            service=row["group"],
            name=row["name"],
            state=row["statename"],
            exit_code=row["exitstatus"],
            started=row["start"],
            pid=row["pid"],
        )
        for row in found
    ]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = sockets.socket(sockets.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> _Connection:
        return _Connection(self._path)


def _server(path: Path) -> Any:
    return xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(path))
