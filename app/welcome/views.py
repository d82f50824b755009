"""The first page that a new developer sees; the URLs include it only while `DEBUG` is on."""

from datetime import datetime
from typing import Any

import django
from django.db import DatabaseError, connection
from django.db.models import F
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from status import readiness
from status.models import WorkerHeartbeat

STALE = 10
"""Seconds without a sign of life after which a worker counts as gone: three missed beats."""


def welcome(request: HttpRequest) -> HttpResponse:
    """Show the services with their state, and what to do next."""
    services = describe()
    context = {
        "services": services,
        "all_ok": all(service["ok"] for service in services),
        "django_version": django.get_version(),
        "docs_version": ".".join(map(str, django.VERSION[:2])),
    }
    return render(request, "welcome/welcome.html", context)


def state(request: HttpRequest) -> JsonResponse:
    """Give what the page shows again as JSON, for its script."""
    response = JsonResponse({"services": describe()})
    response["Cache-Control"] = "no-store"
    return response


def describe() -> list[dict[str, Any]]:
    """Say of each service whether it is well, in words for the page."""
    results = readiness.run()
    database, migrations, broker = (results[name] for name in ("database", "migrations", "broker"))
    return [
        {
            "id": "database",
            "name": "Database",
            "ok": database.ok,
            "text": f"PostgreSQL {database.data['version'].split()[0]}" if database.ok else database.detail,
        },
        {
            "id": "migrations",
            "name": "Migrations",
            "ok": migrations.ok,
            "text": f"all {migrations.data['applied']} applied" if migrations.ok else migrations.detail,
        },
        {
            "id": "broker",
            "name": "Broker",
            "ok": broker.ok,
            "text": _queues(broker.data["queues"]) if broker.ok else broker.detail,
        },
        {"id": "worker", "name": "Worker", **_workers(migrations.ok)},
    ]


def _queues(queues: dict[str, dict[str, int]]) -> str:
    return "; ".join(
        f"{name}: {counts['waiting']} waiting, {counts['in_flight']} in flight"
        if counts
        else f"{name}: reachable, its messages are not counted here"
        for name, counts in queues.items()
    )


def _workers(has_table: bool) -> dict[str, Any]:
    """Say which workers gave a sign of life lately.

    Over SQS nobody can ask a worker, so in development each writes its heartbeat into the database, and how
    old that may be is measured by the clock of the database alone.
    """
    if not has_table:
        return {"ok": False, "text": "unknown until the database is migrated"}
    try:
        rows = list(WorkerHeartbeat.objects.annotate(now=Now()).order_by(F("seen_at").desc()))
    except DatabaseError:
        connection.close()
        return {"ok": False, "text": "unknown without the database"}
    ages = {row: _seconds(row.now, row.seen_at) for row in rows}
    alive = [row for row, age in ages.items() if age <= STALE]
    if alive:
        return {
            "ok": True,
            "text": "; ".join(f"{row.hostname} on {row.queues}, seen {ages[row]} s ago" for row in alive),
        }
    if rows:
        return {"ok": False, "text": f"{rows[0].hostname} was last seen {ages[rows[0]]} s ago"}
    return {"ok": False, "text": "none has given a sign of life"}


def _seconds(now: datetime, then: datetime) -> int:
    return max(0, round((now - then).total_seconds()))
