"""Turn a service of the compose files into a program that runs without a container."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from berth.compose.config import Stack
from berth.engines.embedded.state import Ids, State
from berth.errors import Refused

COMMANDS = "/usr/local/bin"
"""Where an image has its commands; what is mounted there is one, too."""
CODE = "/home/web/code"
"""The working folder of the image that is built here, unless `working_dir` names another one."""
INITIAL = "/docker-entrypoint-initdb.d"
SYSTEM_PATH = ("/opt/homebrew/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
HOST = "127.0.0.1"
DEFAULT_GRACE = "10s"
SUPERUSER = "postgres"
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000001}


@dataclass(frozen=True)
class Program:
    """A service, as it runs without a container.

    :param waits: the services that it depends on, each with its condition.
    :param needs: those of them that only containers can run.
    :param health: the command that succeeds once it is healthy; empty where there is none.
    :param ready: the command that succeeds once it takes commands, healthy or not; empty where there is none.
    :param start_period: seconds in which it may be unhealthy after its start.
    :param patience: seconds until it has to be healthy.
    :param grace: seconds that it gets to end.
    :param once: it does its work and ends.
    :param privileged: it needs what only the caller may read: the checkout and its Python.
    :param files: what it would have mounted, as pairs of the path here and the path in the container.
    :param unmounted: the paths in the container that there are not here.
    """

    service: str
    role: str | None
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    waits: Mapping[str, str]
    needs: Sequence[str]
    health: Sequence[str]
    ready: Sequence[str]
    start_period: float
    patience: float
    grace: float
    stop_signal: signal.Signals
    once: bool
    replicas: int
    privileged: bool
    files: Sequence[tuple[str, str]]
    unmounted: Sequence[str]

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

    def description(self, user: Ids | None) -> str:
        """Return what scripts/enter.py reads.

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


class Site(NamedTuple):
    """What programs are made from.

    :param app: the service with manage.py.
    :param scripts: the names of the files in scripts/.
    :param paths: the folders of the servers' own commands.
    """

    stack: Stack
    state: State
    app: str
    scripts: Collection[str]
    paths: Sequence[str]

    def is_code(self, service: str) -> bool:
        """Tell whether a service runs the image that is built here."""
        return bool(self.stack.definition(service)["image"] == self.stack.definition(self.app)["image"])

    def script(self, kind: str, service: str) -> list[str]:
        """Return the command that does something for services of that role, if there is one."""
        name = f"{kind}-{self.stack.role(service)}.sh"
        return [name] if name in self.scripts else []


def make(site: Site, name: str, *, here: Collection[str], missing: Collection[str]) -> Program:
    """Return the program of a service.

    :param here: the services that run here; it waits for no other one.
    :param missing: those that need a container.
    :raises Refused: no folder is mounted where its code is.
    """
    definition, code = site.stack.definition(name), site.is_code(name)
    health = definition.get("healthcheck") or {}
    test = _words(health.get("test"))
    start_period = seconds(health.get("start_period", "0s"))
    needed = definition.get("depends_on") or {}
    return Program(
        service=name,
        role=site.stack.role(name),
        command=["entrypoint.sh", *_words(definition.get("command"))] if code else site.script("start", name),
        environment=_environment(site, name),
        folder=code_folder(site, name) if code else str(site.state.data / name),
        waits={other: rule["condition"] for other, rule in sorted(needed.items()) if other in here},
        needs=[other for other, rule in sorted(needed.items()) if other in missing and rule.get("required", True)],
        health=[] if health.get("disable") or test[:1] == ["NONE"] else _check(test),
        ready=[] if code else site.script("ready", name),
        start_period=start_period,
        patience=start_period + seconds(health.get("interval", "30s")) * int(health.get("retries", 3)),
        grace=seconds(definition.get("stop_grace_period", DEFAULT_GRACE)),
        stop_signal=signal.Signals[definition.get("stop_signal", "SIGTERM")],
        once=definition.get("restart") == "no",
        replicas=replicas(definition),
        privileged=code,
        files=[] if code else [(source, target) for source, target in _binds(definition)],
        unmounted=_unmounted(definition, inside=_working_folder(site, name)) if code else [],
    )


def replicas(definition: Mapping[str, Any]) -> int:
    return int((definition.get("deploy") or {}).get("replicas", 1))


def code_folder(site: Site, name: str) -> str:
    """Return the folder of this machine that is the working folder of a service.

    One without a mount of its own has the code that its image got when it was built: that of the service `app`.

    :raises Refused: neither has it mounted.
    """
    inside = PurePosixPath(_working_folder(site, name))
    for service in (name, site.app):
        binds = sorted(_binds(site.stack.definition(service)), key=lambda bind: len(bind[1]), reverse=True)
        for source, target in binds:
            if inside.is_relative_to(target):
                return str(PurePosixPath(source) / inside.relative_to(target))
    raise Refused(
        f"`{name}` has no folder mounted at {inside}, its working folder: without containers its code has to lie on "
        "this machine; mount it there, or set BERTH_ENGINE=docker"
    )


def _working_folder(site: Site, name: str) -> str:
    return str(site.stack.definition(name).get("working_dir") or CODE)


def _binds(definition: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(mount["source"], mount["target"]) for mount in definition.get("volumes") or [] if mount["type"] == "bind"]


def _unmounted(definition: Mapping[str, Any], *, inside: str) -> list[str]:
    """Return the paths of mounts that are neither that of the code nor below it."""
    # /dev/null hides a file of the code, which stays where it is here.
    mounts = [mount for mount in definition.get("volumes") or [] if mount.get("source") != os.devnull]
    targets = [PurePosixPath(mount["target"]) for mount in mounts]
    code = [target for target in targets if PurePosixPath(inside).is_relative_to(target)] or [PurePosixPath(inside)]
    return [str(target) for target in targets if not any(target.is_relative_to(folder) for folder in code)]


def _environment(site: Site, name: str) -> dict[str, str]:
    state, stack = site.state, site.stack
    mounts, data = state.mounts / name, state.data / name
    path = [f"{mounts}{COMMANDS}", str(state.bin), str(state.packages / "bin"), *site.paths, *SYSTEM_PATH]
    environment = {**localised(stack.environment(name), _addresses(stack)), "PATH": ":".join(path)}
    ports = [port for _, port in stack.published(name) if port]
    if ports:
        environment |= {"HEALTH_PORT": ports[0], "LISTEN_ADDRESS": f"{HOST}:{ports[0]}"}
    if site.is_code(name):
        # What the image has in /usr/local/lib/berth, as the start scripts know, and on its PYTHONPATH.
        library = str(stack.dockerfile(site.app).parent)
        path = [library, *filter(None, [environment.get("PYTHONPATH")])]
        environment |= {"BERTH_LIB": library, "PYTHONPATH": ":".join(path)}
    else:
        environment |= {"DATA": str(data), "MOUNTS": str(mounts), "SERVERS": str(state.servers)}
    if stack.role(name) == "database":
        environment |= {
            "PGDATA": str(data / "cluster"),
            "PGHOST": HOST,
            "PGPORT": ports[0] if ports else "",
            "PGUSER": environment.get("DB_USER", ""),
            "PGDATABASE": environment.get("DB_NAME", ""),
            "PGPASSFILE": str(state.passwords / name),
            "INIT_SQL": f"{mounts}{INITIAL}/db.sql",
        }
    return environment


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
    superuser = values.get("POSTGRES_USER") or SUPERUSER
    rows = [(superuser, values.get("POSTGRES_PASSWORD", "")), (values["PGUSER"], values.get("DB_PASSWORD", ""))]
    return "".join(f"*:*:*:{_escaped(user)}:{_escaped(password)}\n" for user, password in rows)


def _escaped(field: str) -> str:
    return re.sub(r"([\\:])", r"\\\1", field)
