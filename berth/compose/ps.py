"""Read what `docker compose ps` and `docker inspect` say of containers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from berth.compose.config import Stack


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
