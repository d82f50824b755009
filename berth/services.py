"""Read what `docker compose config` and `docker compose ps` say of the services."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from berth.nearest import did_you_mean

ROLE = "berth.role"


class Unknown(Exception):
    """The compose files hold no such service, or none with such a role."""


class Container(NamedTuple):
    """One line of `docker compose ps`, or one object of `docker inspect`.

    :param health: "healthy", "unhealthy", "starting", or "" for a service without a health check.
    :param exit_code: only means something when the state is "exited".
    :param restarts: how often the engine started it again by itself; only `docker inspect` says so.
    :param said: what the last health check printed; only `docker inspect` says so.
    """

    service: str
    name: str
    state: str
    health: str
    exit_code: int
    restarts: int = 0
    said: str = ""

    @property
    def failed(self) -> bool:
        """Tell whether this is why an `up --wait` failed."""
        if self.state == "exited":
            return self.exit_code != 0
        if self.state in {"restarting", "dead"} or self.health == "unhealthy":
            return True
        # One that ends at its start may just have been started again.
        return self.restarts > 0 and self.health != "healthy"


class Stack:
    """The services of a project, as Compose resolved them.

    :param config: the output of `docker compose config --format json`.
    """

    def __init__(self, config: str) -> None:
        self._config: dict[str, Any] = json.loads(config)
        self._services: dict[str, dict[str, Any]] = self._config.get("services", {})

    @property
    def project_name(self) -> str:
        return str(self._config["name"])

    def names(self) -> list[str]:
        return sorted(self._services)

    def check(self, services: Iterable[str]) -> None:
        """:raises Unknown: naming the first service that is not there, and those that are."""
        for service in services:
            if service not in self._services:
                near = did_you_mean(service, self._services)
                names = ", ".join(self.names())
                raise Unknown(f"no service is called `{service}`{near} The compose files have {names}")

    def with_role(self, role: str) -> str:
        """Return the service that has the label ``berth.role: <role>``.

        :raises Unknown: none has it, or more than one.
        """
        found = [name for name in self.names() if self._services[name].get("labels", {}).get(ROLE) == role]
        if len(found) == 1:
            return found[0]
        if found:
            raise Unknown(
                f"the services {', '.join(found)} all have the label `{ROLE}: {role}`: leave it on one of them"
            )
        raise Unknown(f"no service has the label `{ROLE}: {role}`: give it to one of {', '.join(self.names())}")

    def definition(self, service: str) -> dict[str, Any]:
        """Return all that Compose says of ``service``."""
        return self._services[service]

    def role(self, service: str) -> str | None:
        """Return what the label ``berth.role`` of ``service`` says."""
        role: str | None = (self._services[service].get("labels") or {}).get(ROLE)
        return role

    def dependents(self, service: str) -> list[str]:
        """Return the services that need ``service``, directly or not."""
        found: set[str] = set()
        pending = {service}
        while pending:
            pending = {
                name
                for name, definition in self._services.items()
                if name not in found and pending & set(definition.get("depends_on", {}))
            }
            found |= pending
        return sorted(found)

    def environment(self, service: str) -> dict[str, str]:
        """Return the environment that ``service`` is started with."""
        # Compose doubles dollar signs, for its answer to be a compose file again.
        written = self._services[service].get("environment") or {}
        return {name: value.replace("$$", "$") for name, value in written.items() if value is not None}

    def addresses(self, service: str) -> list[str]:
        """Return where ``service`` can be reached from the host; a URL where the port says `app_protocol: http`."""
        return [
            ("http://" if port.get("app_protocol") == "http" else "")
            + f"{port.get('host_ip', '127.0.0.1')}:{port['published']}"
            for port in self._services[service].get("ports", [])
            if "published" in port
        ]

    def published(self, service: str) -> list[tuple[str, str]]:
        """Return the host's address and port of each published port of ``service``, in their order in the file."""
        ports = self._services[service].get("ports") or []
        return [(port.get("host_ip", "0.0.0.0"), port.get("published", "")) for port in ports]

    def upstream_images(self) -> list[str]:
        """Return the images that no registry-less machine has: those not built here, and those that builds start from.

        An image counts as a build's base when a build argument whose name ends in `_IMAGE` names it.
        """
        images: set[str] = set()
        built = {definition["image"] for definition in self._services.values() if "build" in definition}
        for definition in self._services.values():
            if "build" in definition:
                arguments = definition["build"].get("args") or {}
                images |= {value for name, value in arguments.items() if name.endswith("_IMAGE")}
            elif definition["image"] not in built:
                images.add(definition["image"])
        return sorted(images)


def mentions(compose_file: str, service: str) -> bool:
    """Tell whether the text of a compose file has a key of that name below another: a sign, and no proof."""
    return re.search(rf"(?m)^[ ]+{re.escape(service)}:", compose_file) is not None


def containers(ps: str) -> list[Container]:
    """Return the containers in the output of `docker compose ps --all --format json`: a line each, or one array."""
    text = ps.strip()
    rows = json.loads(text) if text.startswith("[") else [json.loads(row) for row in text.splitlines()]
    return [
        Container(
            service=row["Service"],
            name=row["Name"],
            state=row["State"],
            health=row.get("Health", ""),
            exit_code=int(row.get("ExitCode", 0)),
        )
        for row in sorted(rows, key=lambda row: (row["Service"], row["Name"]))
    ]


def inspected(objects: str) -> list[Container]:
    """Return the containers in the output of `docker inspect`, which reads each at one moment.

    `docker compose ps` does not: it joins the state of a list with a health that is read later.
    """
    found = []
    for row in json.loads(objects):
        state = row["State"]
        health = state.get("Health") or {}
        log = health.get("Log") or []
        found.append(
            Container(
                service=row["Config"]["Labels"]["com.docker.compose.service"],
                name=row["Name"].lstrip("/"),
                state=state["Status"],
                health=health.get("Status", "") if state["Status"] == "running" else "",
                exit_code=int(state["ExitCode"]),
                restarts=int(row["RestartCount"]),
                said=log[-1]["Output"].strip() if log else "",
            )
        )
    return sorted(found, key=lambda container: (container.service, container.name))


def table(stack: Stack, running: Sequence[Container]) -> str:
    """Return the services, their state and their addresses, in columns."""
    rows = [("service", "state", "address")]
    for container in running:
        state = container.health or container.state
        if container.state == "exited":
            state = "done" if container.exit_code == 0 else f"exited ({container.exit_code})"
        addresses = stack.addresses(container.service) if container.state == "running" else []
        rows.append((container.service, state, ", ".join(addresses)))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{service:<{widths[0]}}  {state:<{widths[1]}}  {address}".rstrip() for service, state, address in rows]
    return "\n".join(lines)
