"""Read what `docker compose config` says of the services."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from berth.errors import Refused
from berth.nearest import did_you_mean

ROLE = "berth.role"


class Unknown(Refused):
    """The compose files hold no such service, or none with such a role."""


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

    def built(self) -> list[str]:
        """Return the services whose image is built here."""
        return [name for name in self.names() if "build" in self._services[name]]

    def builders(self, services: Iterable[str]) -> list[str]:
        """Return who builds the images of ``services``, and of what they depend on, where these do not themselves.

        Compose builds what it starts and what has a `build`; of an image that another service builds it knows nothing.
        """
        started = self._with_dependencies(services)
        wanted = {self._services[name].get("image") for name in started if "build" not in self._services[name]}
        return [name for name in self.built() if name not in started and self._services[name].get("image") in wanted]

    def _with_dependencies(self, services: Iterable[str]) -> set[str]:
        found: set[str] = set()
        pending = set(services)
        while pending:
            found |= pending
            pending = {other for name in pending for other in self._services[name].get("depends_on") or {}} - found
        return found

    def dockerfile(self, service: str) -> Path:
        """Return the file that the image of ``service`` is built by, for one of `built`."""
        build: dict[str, Any] = self._services[service]["build"]
        return Path(str(build["context"]), str(build.get("dockerfile", "Dockerfile")))

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

    def port_variable(self, service: str, position: int) -> str | None:
        """Return the variable that publishes a port of ``service``, where its `${VARIABLES}` are left as written.

        :param position: the port's, in the order of the file.
        """
        port = self._services[service]["ports"][position]
        text = str(port.get("published", "")) if isinstance(port, dict) else _without_target(port)
        found = re.search(r"\$\{(\w+)[^{}]*\}$", text)
        return found[1] if found else None

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


def _without_target(port: str) -> str:
    """Return the short form of a port, such as `127.0.0.1:${DB_PORT:-5432}:5432`, up to the one that is published."""
    return re.sub(r":(?:[^:{}]*|\$\{[^{}]*\})$", "", port.partition("/")[0])


def mentions(compose_file: str, service: str) -> bool:
    """Tell whether the text of a compose file has a key of that name below another: a sign, and no proof."""
    return re.search(rf"(?m)^[ ]+{re.escape(service)}:", compose_file) is not None
