"""Make the stack files of a release from the one configuration that Compose resolves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from berth.compose.config import Stack
from berth.deploy.swarm import service
from berth.deploy.swarm.service import Definition, File
from berth.errors import Refused

Document = dict[str, Any]
Contents = Mapping[str, Mapping[str, bytes]]


class Release(NamedTuple):
    """What is handed to the cluster, in this order."""

    secrets: list[File]
    configs: list[File]
    needs: Document
    """The stack file of what the jobs need from the same stack, such as a database; empty: nothing."""
    before: Document
    """That of the jobs as well; empty: there is none."""
    jobs: list[str]
    document: Document
    """That of all services that stay."""


def parse(config: str) -> Document:
    """Return what `docker compose config --format json` printed."""
    read: Document = json.loads(config)
    return read


def paths(config: Definition) -> list[str]:
    """Return the files and folders of this machine that the stack is to hold."""
    own = _own_image(config)
    return sorted(
        {path for _, one in _services(config) for path in service.paths(one, config, ours=one["image"] == own)}
    )


def release(config: Definition, *, name: str, image: str, contents: Contents) -> Release:
    """Return the release of ``image`` by the compose files.

    A service with 0 replicas is left out. One that others need to have ended well is a job, which runs before them.

    :param config: the configuration as Compose resolves it.
    :param name: that of the stack.
    :param image: the released image, for all services of the project's own.
    :param contents: for each of `paths`, its files by their paths in it; a file itself: `""`.
    :raises Refused: the files say what Swarm cannot do, or need a service that is left out.
    """
    services = dict(_services(config))
    _check_hosts(config, services)
    jobs = sorted(_needed(services.values(), "service_completed_successfully") & set(services))
    own = _own_image(config)
    top = {**config, "name": name}
    converted = {
        key: service.convert(
            key,
            {**one, "image": image} if one["image"] == own else one,
            contents=contents,
            top=top,
            ours=one["image"] == own,
            job=key in jobs,
        )
        for key, one in services.items()
    }
    first = _with_needs(jobs, services)
    return Release(
        secrets=_unique(file for made in converted.values() for file in made.secrets),
        configs=_unique(file for made in converted.values() for file in made.configs),
        needs=_document(config, {key: converted[key] for key in first if key not in jobs}),
        before=_document(config, {key: converted[key] for key in first}) if jobs else {},
        jobs=jobs,
        document=_document(config, {key: made for key, made in converted.items() if key not in jobs}),
    )


def files(document: Document) -> set[str]:
    """Return the names of the secrets and configs in a stack file."""
    return {str(one["name"]) for kind in ("secrets", "configs") for one in document.get(kind, {}).values()}


def keep_replicas(document: Document, before: Document, running: Mapping[str, int]) -> Document:
    """Return ``document`` with the number of replicas that somebody, or the load, has chosen since the last release.

    A number in the files that is another one than at the last release counts more.

    :param before: the stack file of the last release.
    :param running: how many replicas each service is to have at the moment.
    """
    services = dict(document["services"])
    for name, one in services.items():
        said = one["deploy"].get("replicas", 1)
        was = before.get("services", {}).get(name, {}).get("deploy", {}).get("replicas", 1)
        if name in running and said == was and one["deploy"].get("mode") != "global":
            services[name] = {**one, "deploy": {**one["deploy"], "replicas": running[name]}}
    return {**document, "services": services}


def is_of_a_registry(image: str) -> bool:
    """Tell whether an image's name begins with a registry's host: `registry.example.com/shop:1`, not `shop:1`."""
    host, slash, _ = image.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


def _services(config: Definition) -> Iterable[tuple[str, Definition]]:
    for name, one in sorted(config["services"].items()):
        if (one.get("deploy") or {}).get("replicas") != 0:
            yield name, one


def _own_image(config: Definition) -> str:
    read = Stack(json.dumps(config))
    return str(read.definition(read.with_role("app"))["image"])


def _check_hosts(config: Definition, services: Mapping[str, Definition]) -> None:
    """:raises Refused: a variable names a service that is left out, such as the database of development, as a host."""
    missing = set(config["services"]) - set(services)
    found = {
        f"{variable} names `{host}`"
        for one in services.values()
        for variable, value in (one.get("environment") or {}).items()
        for host in missing
        if value is not None and (value == host or re.search(rf"(//|@){re.escape(host)}(?![\w.-])", str(value)))
    }
    if found:
        raise Refused(
            f"{', '.join(sorted(found))}: no such service is part of the stack. Name the one that the site is to use, "
            "in .env or in DEPLOY_ENV_FILE, or add docker/docker-compose.demo.yml to DEPLOY_COMPOSE_FILE for its own"
        )


def _needed(services: Iterable[Definition], condition: str) -> set[str]:
    return {
        other
        for one in services
        for other, rule in (one.get("depends_on") or {}).items()
        if rule["condition"] == condition
    }


def _with_needs(jobs: Iterable[str], services: Mapping[str, Definition]) -> list[str]:
    """Return jobs with all that they depend on, as far as it is part of the stack."""
    found: set[str] = set()
    pending = set(jobs)
    while pending:
        found |= pending
        needed = {other for name in pending for other in services[name].get("depends_on") or {}}
        pending = (needed & set(services)) - found
    return sorted(found)


def _document(config: Definition, converted: Mapping[str, service.Converted]) -> Document:
    """Return a stack file with these services, empty: there are none."""
    if not converted:
        return {}
    services = {name: made.definition for name, made in converted.items()}
    networks = {name for one in services.values() for name in one.get("networks") or {"default": None}}
    volumes = {
        one["source"] for made in services.values() for one in made.get("volumes", []) if one["type"] == "volume"
    }
    parts: Document = {
        "secrets": _external(file for made in converted.values() for file in made.secrets),
        "configs": _external(file for made in converted.values() for file in made.configs),
        "networks": {name: _network(config.get("networks", {}).get(name)) for name in sorted(networks)},
        "volumes": {name: _volume(config["volumes"][name]) for name in sorted(volumes)},
    }
    return {"services": services, **{key: value for key, value in parts.items() if value}}


def _external(files: Iterable[File]) -> dict[str, Any]:
    return {file.name: {"name": file.name, "external": True} for file in _unique(files)}


def _network(said: Definition | None) -> dict[str, Any]:
    said = said or {}
    if said.get("external"):
        return {"name": said["name"], "external": True}
    return {"driver": "overlay", **{key: said[key] for key in ("driver_opts", "internal", "labels") if said.get(key)}}


def _volume(said: Definition | None) -> dict[str, Any]:
    """Without the name that Compose gives it, which may be that of a volume of development."""
    said = said or {}
    if said.get("external"):
        return {"name": said["name"], "external": True}
    return {key: said[key] for key in ("driver", "driver_opts", "labels") if said.get(key)}


def _unique(files: Iterable[File]) -> list[File]:
    return sorted(set(files))
