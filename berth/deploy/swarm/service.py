"""Turn one service, as Compose resolves it, into one of a stack file, whose schema is older and smaller.

What Swarm would ignore or refuse is refused here, unless leaving it out changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from berth.deploy.swarm import defaults
from berth.errors import Refused
from berth.redaction import is_secret

Definition = Mapping[str, Any]

FOLDER = "/run/secrets"
KEPT = frozenset(
    [
        "cap_add",
        "cap_drop",
        "command",
        "dns",
        "dns_search",
        "entrypoint",
        "extra_hosts",
        "healthcheck",
        "hostname",
        "image",
        "init",
        "labels",
        "logging",
        "networks",
        "read_only",
        "stdin_open",
        "stop_grace_period",
        "stop_signal",
        "sysctls",
        "tty",
        "ulimits",
        "user",
        "working_dir",
    ]
)
"""Keys that mean the same in a stack file."""
CONVERTED = frozenset(["configs", "deploy", "environment", "ports", "secrets", "shm_size", "tmpfs", "volumes"])
LEFT_OUT = frozenset(
    ["build", "container_name", "depends_on", "develop", "expose", "profiles", "pull_policy", "restart"]
)
"""Keys that say how this machine builds and starts a service."""
NO_NEW_PRIVILEGES = "no-new-privileges"
_PASSWORD = re.compile(r"\w://[^\s/:@]*:[^\s/@]+@")


class File(NamedTuple):
    """Content that Swarm keeps and shows to containers: it cannot be changed, so its name says what it holds."""

    name: str
    content: bytes


class Converted(NamedTuple):
    """A service of the stack file, and the files that it names."""

    definition: dict[str, Any]
    secrets: list[File]
    configs: list[File]


def hashed(name: str, content: bytes) -> File:
    """Return a file under a name that says what it holds; Swarm takes 64 characters."""
    return File(f"{name[:51].rstrip('-_.')}-{sha256(content).hexdigest()[:12]}", content)


def convert(
    name: str,
    service: Definition,
    *,
    contents: Mapping[str, Mapping[str, bytes]],
    top: Definition,
    ours: bool,
    job: bool,
) -> Converted:
    """Return what ``service`` is in a stack file.

    :param contents: the files below each of `paths`, by their paths in it; one that is a file itself: `""`.
    :param top: the whole configuration, for the files behind the names of configs and secrets.
    :param ours: its image is the project's, which reads `NAME_FILE` in place of each `NAME`.
    :param job: it runs once and ends.
    :raises Refused: it says something that Swarm cannot do.
    """
    _check(name, service, ours=ours)
    made: dict[str, Any] = {key: service[key] for key in sorted(KEPT) if service.get(key) is not None}
    stack = str(top["name"])
    environment, secrets = _environment(service, stack, ours=ours)
    volumes, configs = _volumes(service, contents, stack)
    owner = _owner(service)
    access = {"mode": 0o400, **owner} if owner else {"mode": 0o444}
    named, more_secrets = _references("secrets", service, top, contents)
    shown, more_configs = _references("configs", service, top, contents)
    named += [{"source": file.name, "target": target, **access} for target, file in secrets]
    shown += [
        {"source": file.name, "target": target, "mode": 0o555 if runs else 0o444} for target, file, runs in configs
    ]
    ports = [_port(name, port) for port in service.get("ports") or []]
    alone = any(port.get("mode") == "host" for port in ports) or any(one["type"] == "volume" for one in volumes)
    made |= {
        key: value
        for key, value in {
            "environment": environment,
            "secrets": named,
            "configs": shown,
            "volumes": [*volumes, *_memory(service)],
            "ports": ports,
        }.items()
        if value
    }
    made["deploy"] = _job(service) if job else defaults.deploy(dict(service.get("deploy") or {}), alone=alone)
    return Converted(
        made, [file for _, file in secrets] + more_secrets, [file for _, file, _ in configs] + more_configs
    )


def paths(service: Definition, top: Definition, *, ours: bool) -> list[str]:
    """Return the files and folders of this machine that ``service`` is shown; the project's own are refused some."""
    binds = [str(one["source"]) for one in service.get("volumes") or [] if one["type"] == "bind" and not ours]
    files = [
        str(top[kind][one["source"]]["file"])
        for kind in ("configs", "secrets")
        for one in service.get(kind) or []
        if "file" in top[kind][one["source"]]
    ]
    return [path for path in [*binds, *files] if path != "/dev/null"]


def _check(name: str, service: Definition, *, ours: bool) -> None:
    binds = [one["source"] for one in service.get("volumes") or [] if one["type"] == "bind"]
    binds = [source for source in binds if source != "/dev/null"]
    if ours and binds:
        raise Refused(
            f"the service {name} mounts {binds[0]}, which no other node has, over what is in the image: take that back "
            "in docker/docker-compose.swarm.yml, by `volumes: !reset []`"
        )
    said = {key for key, value in service.items() if value is not None}
    more = said - KEPT - CONVERTED - LEFT_OUT - {"security_opt"}
    if any(not str(option).startswith(NO_NEW_PRIVILEGES) for option in service.get("security_opt") or []):
        more.add("security_opt")
    if more:
        raise Refused(
            f"the service {name} says {', '.join(f'`{key}`' for key in sorted(more))}, which Docker Swarm cannot do: "
            "take it back in docker/docker-compose.swarm.yml, by `!reset null`"
        )


def _environment(service: Definition, stack: str, *, ours: bool) -> tuple[dict[str, str], list[tuple[str, File]]]:
    """Return the environment without its secrets, and these with the names that containers see them by."""
    plain: dict[str, str] = {}
    secrets = []
    for name, value in sorted((service.get("environment") or {}).items()):
        if value is None:
            continue
        # Compose doubles dollar signs, for its answer to be a file of its own again; so does a stack file.
        content = str(value).replace("$$", "$")
        if ours and content and (is_secret(name) or _PASSWORD.search(content)):
            plain[f"{name}_FILE"] = f"{FOLDER}/{name}"
            secrets.append((name, hashed(f"{stack}_{name}", content.encode())))
        else:
            plain[name] = str(value)
    return plain, secrets


def _owner(service: Definition) -> dict[str, str]:
    """Return who may read the secrets of a service: its user, where that is a number."""
    uid, _, gid = str(service.get("user") or "").partition(":")
    return {"uid": uid, "gid": gid or uid} if uid.isdecimal() and (gid or uid).isdecimal() else {}


def _references(
    kind: str, service: Definition, top: Definition, contents: Mapping[str, Mapping[str, bytes]]
) -> tuple[list[dict[str, Any]], list[File]]:
    """Return what a service says of configs or secrets, under the names of their contents, and these.

    :param kind: "configs" or "secrets".
    """
    said: list[dict[str, Any]] = []
    files: list[File] = []
    for one in service.get(kind) or []:
        source = top[kind][one["source"]]
        rest = {key: _mode(value) if key == "mode" else value for key, value in one.items()}
        if source.get("external"):
            said.append(rest | {"source": str(source.get("name", one["source"]))})
        elif source["file"] != "/dev/null":  # which stands for none
            files.append(hashed(f"{top['name']}_{one['source']}", contents[str(source["file"])][""]))
            said.append({"target": one["source"], **rest, "source": files[-1].name})
    return said, files


def _mode(value: object) -> int:
    """Compose writes the mode of a file as text, in octal."""
    return int(value, 8) if isinstance(value, str) else int(str(value))


def _volumes(
    service: Definition, contents: Mapping[str, Mapping[str, bytes]], stack: str
) -> tuple[list[dict[str, Any]], list[tuple[str, File, bool]]]:
    """Return the volumes, and the bind-mounted files, which other nodes do not have, as configs."""
    volumes: list[dict[str, Any]] = []
    configs: list[tuple[str, File, bool]] = []
    for one in service.get("volumes") or []:
        if one["type"] != "bind":
            kept = ("type", "source", "target", "read_only", "volume", "tmpfs")
            volumes.append({key: one[key] for key in kept if one.get(key)})
        elif one["source"] != "/dev/null":
            for path, content in sorted(contents[str(one["source"])].items()):
                target = f"{one['target']}/{path}".rstrip("/")
                name = re.sub(r"[^a-zA-Z0-9_.-]", "-", target.rpartition("/")[2])
                configs.append((target, hashed(f"{stack}_{name}", content), content.startswith(b"#!")))
    return volumes, configs


def _memory(service: Definition) -> list[dict[str, Any]]:
    """Return what lies in memory: a stack file's own `tmpfs` and `shm_size` are ignored by docker."""
    shared = [f"/dev/shm:size={service['shm_size']}"] if service.get("shm_size") else []
    return [_tmpfs(str(one)) for one in [*(service.get("tmpfs") or []), *shared]]


def _tmpfs(said: str) -> dict[str, Any]:
    target, _, options = said.partition(":")
    known = dict(option.partition("=")[::2] for option in options.split(",") if option)
    made: dict[str, Any] = {"type": "tmpfs", "target": target}
    if known.keys() - {"size", "mode"}:
        raise Refused(f"`tmpfs: {said}`: Docker Swarm knows the options `size` and `mode` only")
    if "size" in known:
        made["tmpfs"] = {"size": _bytes(known["size"])}
    if "mode" in known:
        made["tmpfs"] = {**made.get("tmpfs", {}), "mode": int(known["mode"], 8)}
    return made


def _bytes(said: str) -> int:
    read = re.fullmatch(r"(\d+)([kmg]?)b?", said.lower())
    if read is None:
        raise Refused(f"`{said}` is no size: write one such as 64m")
    power: int = 1024 ** " kmg".index(read[2] or " ")
    return int(read[1]) * power


def _port(name: str, port: Definition) -> dict[str, Any]:
    published = str(port.get("published") or "")
    if port.get("host_ip", "0.0.0.0") != "0.0.0.0":
        raise Refused(
            f"the service {name} publishes its port {port['target']} on {port['host_ip']}, which Docker Swarm cannot: "
            "take it back in docker/docker-compose.swarm.yml, by `ports: !reset []`"
        )
    if not published.isdecimal():
        raise Refused(f"the service {name} publishes its port {port['target']} on `{published}`: name one port")
    return {
        "target": int(port["target"]),
        "published": int(published),
        "protocol": str(port.get("protocol", "tcp")),
        "mode": str(port.get("mode", "ingress")),
    }


def _job(service: Definition) -> dict[str, Any]:
    said = dict(service.get("deploy") or {})
    kept = {key: said[key] for key in ("placement", "resources", "labels") if key in said}
    return {**kept, "mode": "replicated-job", "endpoint_mode": "dnsrr", "restart_policy": defaults.JOB_RESTART}
