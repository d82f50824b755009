"""Turn the services of the compose files into programs that run without containers, and those into files.

A service whose image is built here, that of the role `app`, runs its command with the project's virtualenv. Another one
is run by docker/embedded/start-ROLE.sh, where its role has one. The rest needs a container.
"""

from __future__ import annotations

import hashlib
import json
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from berth.project import State
from berth.services import Stack

# Where an image has its commands; what is mounted there is one, too.
COMMANDS = "/usr/local/bin"
INITIAL = "/docker-entrypoint-initdb.d"
SYSTEM_PATH = ("/opt/homebrew/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
HOST = "127.0.0.1"
IMAGE_PYTHON = "#!/opt/venv/bin/python"
DEFAULT_GRACE = "10s"
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000001}


class Unusable(Exception):
    """The compose files ask for something that there is only in containers; the message says what to type."""


@dataclass(frozen=True)
class Program:
    """A service, as it runs without a container.

    :param waits: the services that it depends on, each with its condition.
    :param health: the command that succeeds once it is healthy; empty where there is none.
    :param start_period: seconds in which it may be unhealthy after its start.
    :param patience: seconds until it has to be healthy.
    :param grace: seconds that it gets to end.
    :param once: it does its work and ends.
    :param privileged: it needs what only the caller may read: the checkout and its Python.
    :param files: what it would have mounted, as pairs of the path here and the path in the container.
    """

    service: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    waits: Mapping[str, str]
    health: Sequence[str]
    start_period: float
    patience: float
    grace: float
    stop_signal: signal.Signals
    once: bool
    replicas: int
    privileged: bool
    files: Sequence[tuple[str, str]]

    @property
    def processes(self) -> list[str]:
        """The names of its processes."""
        if self.replicas == 1:
            return [self.service]
        return [f"{self.service}-{number}" for number in range(1, self.replicas + 1)]

    @property
    def words(self) -> list[str]:
        """What the supervisor calls its processes."""
        return [self.service] if self.replicas == 1 else [f"{self.service}:{name}" for name in self.processes]

    def description(self, user: tuple[int, int] | None) -> str:
        """Return what docker/embedded/enter.py reads.

        :param user: whom it runs as when root starts it.
        """
        return json.dumps(
            {
                "command": list(self.command),
                "environment": dict(self.environment),
                "folder": self.folder,
                "health": list(self.health),
                "once": self.once,
                "processes": self.processes,
                "stop_signal": int(self.stop_signal),
                "user": None if self.privileged else user,
                "waits": dict(self.waits),
            },
            indent=1,
        )


def programs(stack: Stack, app: str, state: State, *, scripts: Sequence[str], paths: Sequence[str]) -> list[Program]:
    """Return the programs of the services that can run here, each behind those it depends on.

    :param app: the service with manage.py.
    :param scripts: the names of the files in docker/embedded/.
    :param paths: the folders of the servers' own commands.
    :raises Unusable: the image to run is not the one for development.
    """
    image = stack.definition(app)["image"]
    target = stack.definition(app).get("build", {}).get("target", "dev")
    if target != "dev":
        raise Unusable(
            f"BUILD_TARGET is `{target}`: without containers there is `dev` only; remove it from .env, with the "
            "overlay in COMPOSE_FILE, or set BERTH_ENGINE=docker"
        )
    addresses = _addresses(stack)
    found = []
    for name in order(stack):
        definition = stack.definition(name)
        script = f"start-{stack.role(name)}.sh"
        ours = definition["image"] == image
        if (ours or script in scripts) and replicas(definition):
            command = ["entrypoint.sh", *_words(definition.get("command"))] if ours else [script]
            found.append(_program(stack, name, state, addresses, paths, command, privileged=ours))
    return found


def left_out(stack: Stack, found: Sequence[Program]) -> list[str]:
    """Return the services that are in the compose files, and have no program."""
    here = {program.service for program in found}
    return [name for name in stack.names() if name not in here and replicas(stack.definition(name))]


def order(stack: Stack) -> list[str]:
    """Return the services, each behind those it depends on."""
    graph = {name: sorted(stack.definition(name).get("depends_on") or {}) for name in stack.names()}
    return list(TopologicalSorter(graph).static_order())


def replicas(definition: Mapping[str, Any]) -> int:
    return int((definition.get("deploy") or {}).get("replicas", 1))


def _program(
    stack: Stack,
    name: str,
    state: State,
    addresses: Mapping[tuple[str, str], str],
    paths: Sequence[str],
    command: Sequence[str],
    *,
    privileged: bool,
) -> Program:
    definition = stack.definition(name)
    mounts, data = state.mounts / name, state.data / name
    binds = [(mount["source"], mount["target"]) for mount in definition.get("volumes") or [] if mount["type"] == "bind"]
    health = definition.get("healthcheck") or {}
    environment = {
        **localised(stack.environment(name), addresses),
        "PATH": ":".join(
            [f"{mounts}{COMMANDS}", str(state.bin), str(state.packages / "bin"), *paths, *SYSTEM_PATH],
        ),
    }
    if ports := [port for _, port in stack.published(name)]:
        environment |= {"HEALTH_PORT": ports[0], "LISTEN_ADDRESS": f"{HOST}:{ports[0]}"}
    if not privileged:
        environment |= {"DATA": str(data), "MOUNTS": str(mounts), "SERVERS": str(state.servers)}
    if stack.role(name) == "database":
        environment |= {
            "PGDATA": str(data / "cluster"),
            "PGHOST": HOST,
            "PGPORT": ports[0] if ports else "",
            "PGUSER": environment.get("DB_USER", ""),
            "PGDATABASE": environment.get("DB_NAME", ""),
            "PGPASSFILE": str(data / "pgpass"),
            "INIT_SQL": f"{mounts}{INITIAL}/db.sql",
        }
    test = _words(health.get("test"))
    start_period = seconds(health.get("start_period", "0s"))
    return Program(
        service=name,
        command=command,
        environment=environment,
        # The code, which would be mounted; or what would be a volume.
        folder=binds[0][0] if privileged and binds else str(data),
        waits={other: rule["condition"] for other, rule in sorted((definition.get("depends_on") or {}).items())},
        health=[] if health.get("disable") or test[:1] == ["NONE"] else _check(test),
        start_period=start_period,
        patience=start_period + seconds(health.get("interval", "30s")) * int(health.get("retries", 3)),
        grace=seconds(definition.get("stop_grace_period", DEFAULT_GRACE)),
        stop_signal=signal.Signals[definition.get("stop_signal", "SIGTERM")],
        once=definition.get("restart") == "no",
        replicas=replicas(definition),
        privileged=privileged,
        files=[] if privileged else binds,
    )


def _addresses(stack: Stack) -> dict[tuple[str, str], str]:
    """Return where each port of each service is on this machine."""
    return {
        (name, str(port["target"])): str(port["published"])
        for name in stack.names()
        for port in stack.definition(name).get("ports") or []
        if "published" in port
    }


def localised(environment: Mapping[str, str], addresses: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """Return the environment with the addresses of services as they are on this machine.

    Rewritten are `SERVICE:PORT` within a value, and the pair of variables `X_HOST=SERVICE`, `X_PORT=PORT`.

    :param addresses: the published port, by service and its port in the container.
    """
    changed = dict(environment)
    for (service, port), published in addresses.items():
        written = re.compile(rf"(?<![\w.-]){re.escape(service)}:{port}(?!\d)")
        for name, value in environment.items():
            changed[name] = written.sub(f"{HOST}:{published}", changed[name])
            other = f"{name.removesuffix('HOST')}PORT"
            if name.endswith("HOST") and value == service and environment.get(other) == port:
                changed |= {name: HOST, other: published}
    return changed


def seconds(duration: str) -> float:
    """Return how long a duration of Compose is, such as `1m30s`."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|us|h|m|s)", duration))


def _check(test: Sequence[str]) -> list[str]:
    return ["sh", "-c", *test[1:]] if test[:1] == ["CMD-SHELL"] else list(test[1:])


def _words(value: Sequence[str] | None) -> list[str]:
    # Compose doubles dollar signs, for its answer to be a compose file again.
    return [word.replace("$$", "$") for word in value or []]


def passwords(program: Program) -> str:
    """Return the file from which the database's clients know the passwords."""
    values = program.environment
    rows = [("postgres", values.get("POSTGRES_PASSWORD", "")), (values["PGUSER"], values.get("DB_PASSWORD", ""))]
    return "".join(f"*:*:*:{_escaped(user)}:{_escaped(password)}\n" for user, password in rows)


def _escaped(field: str) -> str:
    return re.sub(r"([\\:])", r"\\\1", field)


def commands(folder: Path, state: State) -> dict[str, str]:
    """Return the text of the commands that an image has from ``folder``: its scripts, and Python by another name."""
    found = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sh"))}
    python = _quoted(state.packages / "bin" / "python")
    for path in sorted(folder.glob("*.py")):
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        if first.startswith(IMAGE_PYTHON):
            line = f"exec {python}{first.removeprefix(IMAGE_PYTHON)} {_quoted(path)}"
            found[path.stem.replace("_", "-")] = f'#!/bin/sh\n{line} "$@"\n'
    return found


def enter(script: Path, state: State) -> str:
    """Return the text of the command `enter`."""
    line = f"exec {_quoted(state.tools / 'bin' / 'python')} -I {_quoted(script)} {_quoted(state.folder)}"
    return f'#!/bin/sh\n{line} "$@"\n'


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


def supervisor(programs: Sequence[Program], socket: Path, descriptions: Mapping[str, str]) -> str:
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
    for program in programs:
        digest = hashlib.sha256(descriptions[program.service].encode()).hexdigest()
        several = program.replicas > 1
        parts.append(
            _section(
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
                environment=f'BERTH_DESCRIPTION="{digest}"',
            )
        )
    return "\n".join(parts)


def _section(title: str, **values: str) -> str:
    return "\n".join([f"[{title}]", *(f"{name} = {value}" for name, value in values.items()), ""])


def _percent(path: Path) -> str:
    return str(path).replace("%", "%%")
