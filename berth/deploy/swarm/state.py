"""Read what the engine says of the services and tasks of a stack while they change."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

FAILED = ("rollback_completed", "paused", "rollback_paused")
GIVEN_UP = 3
"""After that many failed tasks a new service, which has no version to go back to, counts as failed."""


class Service(NamedTuple):
    """
    :param everywhere: it runs once on each node.
    :param running: how many of its replicas are healthy.
    :param wanted: how many it is to have.
    :param template: what its replicas are made of.
    :param update: how the update after the last change stands; empty: there was nothing to replace, or not yet.
    :param started: when that update began.
    """

    name: str
    everywhere: bool
    running: int
    wanted: int
    template: str = ""
    update: str = ""
    message: str = ""
    started: str = ""


class Task(NamedTuple):
    """One replica in its time. The newest comes first."""

    id: str
    service: str
    state: str
    error: str


def services(listed: str, inspected: str, stack: str) -> dict[str, Service]:
    """Return the services of a stack by their names in its file.

    :param listed: what `lines.services` printed.
    :param inspected: what `lines.inspect` printed of them.
    """
    details = {one["Spec"]["Name"]: one for one in json.loads(inspected or "[]")}
    found = {}
    for row in map(json.loads, listed.splitlines()):
        counts = re.match(r"(\d+)/(\d+)", row["Replicas"])
        detail = details.get(row["Name"])
        if counts is None or detail is None:
            continue  # it came or went between the two questions
        status = detail.get("UpdateStatus") or {}
        name = row["Name"].removeprefix(f"{stack}_")
        found[name] = Service(
            name,
            row["Mode"] == "global",
            int(counts[1]),
            int(counts[2]),
            json.dumps(detail["Spec"]["TaskTemplate"], sort_keys=True),
            status.get("State", ""),
            status.get("Message", ""),
            status.get("StartedAt", ""),
        )
    return found


def tasks(listed: str, stack: str) -> list[Task]:
    """Return the tasks of a stack, from what `lines.tasks` printed."""
    rows = map(json.loads, listed.splitlines())
    return [
        Task(
            row["ID"],
            # A slot's number, or the node and the task's id.
            re.sub(r"\..*$", "", row["Name"].removeprefix(f"{stack}_")),
            row["CurrentState"].partition(" ")[0].lower(),
            row["Error"].strip('"'),
        )
        for row in rows
    ]


def failed(now: Collection[Task], service: str, before: Collection[str] = ()) -> list[Task]:
    """Return the failed tasks of ``service``, the newest first, but for those whose ids are in ``before``."""
    bad = ("failed", "rejected")
    return [one for one in now if one.service == service and one.state in bad and one.id not in before]


def runs(now: Collection[Task], service: str) -> bool:
    """Tell whether a task of ``service`` runs, or is about to."""
    over = ("complete", "failed", "rejected", "shutdown", "orphaned", "remove")
    return any(one.service == service and one.state not in over for one in now)


def is_complete(now: Collection[Task], job: str) -> bool:
    """Tell whether a job has ended well."""
    return any(one.service == job and one.state == "complete" for one in now)


def is_done(now: Service, before: Service | None) -> bool:
    """Tell whether a service has become what it is to be.

    :param before: what it was before the change; None: it is new.
    """
    if now.everywhere and not now.wanted:
        return False  # the nodes are still being counted
    if _has_begun(now, before):
        return now.update == "completed" and now.running >= now.wanted
    if before is not None and now.template != before.template and now.wanted:
        return False  # the engine has not begun to replace it
    return now.running >= now.wanted


def has_failed(now: Service, before: Service | None, failures: int) -> bool:
    """Tell whether the engine has given up on a service: it is what it was, or it stands still.

    :param failures: how many of its tasks have failed since the change.
    """
    if _has_begun(now, before):
        return now.update in FAILED
    if before is not None and now.template != before.template:
        return False
    return failures >= GIVEN_UP


def _has_begun(now: Service, before: Service | None) -> bool:
    """Tell whether the engine has begun an update. At the end of a rollback a service is made of the same as before."""
    return before is not None and bool(now.update) and now.started != before.started


def progress(found: Mapping[str, Service]) -> str:
    """Say how far the services are, in one line."""
    return ", ".join(
        f"{one.name} {one.running}/{one.wanted}{f' {one.update}' if one.update not in ('', 'completed') else ''}"
        for one in found.values()
    )


def health(inspected: str) -> str:
    """Return what the last check of a container said that failed, from what `lines.inspect` printed of it."""
    found: list[dict[str, Any]] = json.loads(inspected or "[]")
    log = ((found[0]["State"].get("Health") or {}).get("Log") or []) if found else []
    said = [str(one["Output"]).strip() for one in log if one["ExitCode"] != 0]
    return said[-1] if said else ""
