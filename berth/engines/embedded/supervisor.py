"""Write the configuration of the supervisor, and ask it for its processes."""

from __future__ import annotations

import hashlib
import http.client
import socket as sockets
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from berth.engines.embedded.programs import Program
from berth.engines.embedded.state import State


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


def configuration(programs: Sequence[Program], socket: Path, descriptions: Mapping[str, str]) -> str:
    """Return the configuration of the supervisor; a program whose description changes is restarted by `update`."""
    parts = [
        "; Written by Berth at each `up`.",
        _section(
            "supervisord",
            logfile="%(here)s/logs/supervisord.log",
            logfile_maxbytes="1MB",
            logfile_backups="1",
            pidfile="%(here)s/run/supervisord.pid",
        ),
        _section("unix_http_server", file=_percent(socket), chmod="0700"),
        _section("supervisorctl", serverurl=f"unix://{_percent(socket)}"),
        _section(
            "rpcinterface:supervisor",
            **{"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
    ]
    return "\n".join([*parts, *(_program(program, descriptions[program.service]) for program in programs)])


def _program(program: Program, description: str) -> str:
    several = program.replicas > 1
    return _section(
        f"program:{program.service}",
        command=f'"%(here)s/bin/enter" {program.service}',
        process_name=f"{program.service}-%(process_num)d" if several else program.service,
        numprocs=str(program.replicas),
        numprocs_start="1",
        autostart="false",
        autorestart="false" if program.once else "true",
        # A process counts as started at once: whether it is healthy is for its check to say.
        startsecs="0",
        stopsignal=program.stop_signal.name.removeprefix("SIG"),
        stopwaitsecs=str(round(program.grace)),
        stopasgroup="true" if program.once else "false",
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=f"%(here)s/logs/{program.service}{'-%(process_num)d' if several else ''}.log",
        stdout_logfile_maxbytes="10MB",
        stdout_logfile_backups="3",
        environment=f'BERTH_DESCRIPTION="{hashlib.sha256(description.encode()).hexdigest()}"',
    )


def _section(title: str, **values: str) -> str:
    return "\n".join([f"[{title}]", *(f"{name} = {value}" for name, value in values.items()), ""])


def _percent(path: Path) -> str:
    return str(path).replace("%", "%%")


def answers(state: State) -> bool:
    """Tell whether a supervisor can be asked; a socket that a killed one left does not count.

    Nor does one whose files were deleted: it runs what is no more.
    """
    return state.supervisor.exists() and listens(state.socket)


def listens(path: Path) -> bool:
    """Tell whether anybody listens at a socket."""
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
