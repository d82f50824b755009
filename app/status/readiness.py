"""The checks behind `/status/ready/`: the database, its migrations and the broker.

They run at the same time, each in a thread of its own, and are given `LIMIT` seconds. They use plain
sockets with a deadline rather than Django's connection and boto3: those block for as long as the other side
hangs, and importing boto3 alone takes half a second. A check that does hang (in a DNS lookup, say) is not
started a second time; who asks meanwhile waits for the same run, so that nothing piles up.
"""

import re
import select
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import psycopg2
import psycopg2.extensions
import structlog
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader

logger = structlog.get_logger(__name__)

LIMIT = 2.0
"""Seconds that a caller of `run` waits, at most."""

DEADLINE = 1.8
"""Seconds after which a check gives up by itself, in time to say so."""


@dataclass(frozen=True)
class Result:
    """What a check found: `detail` says what is wrong, `data` holds figures for the welcome page."""

    ok: bool
    detail: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


Results = Mapping[str, Result]


class SingleFlight:
    """Run a function in a thread, at most once at a time; callers who come meanwhile share its outcome."""

    def __init__(self, function: Callable[[], Results]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._outcome: Future[Results] | None = None

    def start(self) -> "Future[Results]":
        """Start the function unless it is running."""
        with self._lock:
            if self._outcome is None or self._outcome.done():
                self._outcome = Future()
                threading.Thread(target=self._run, args=[self._outcome], name="readiness", daemon=True).start()
            return self._outcome

    def _run(self, outcome: "Future[Results]") -> None:
        try:
            outcome.set_result(self._function())
        except Exception as error:
            outcome.set_exception(error)


def _told(reason: str, error: Exception) -> str:
    """Say why a check failed: in production without the text of the error, which names hosts and users."""
    return f"{reason}: {' '.join(str(error).split())}" if settings.DEBUG else reason


@cache
def _migrations() -> Mapping[tuple[str, str], list[tuple[str, str]]]:
    """Give the migrations of the code, each with those that it replaces."""
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    return {key: list(migration.replaces) for key, migration in loader.disk_migrations.items()}


def unapplied(applied: set[tuple[str, str]]) -> list[str]:
    """List the migrations of the code that are missing in a database.

    :param applied: rows of `django_migrations`, as (application, name).
    :returns: `application.name`, sorted.
    """
    migrations = _migrations()
    present = applied | {
        key for key, replaced in migrations.items() if replaced and all(tuple(item) in applied for item in replaced)
    }
    return sorted(".".join(key) for key in migrations if key not in present)


def _until(deadline: float, database: "psycopg2.extensions.connection") -> None:
    """Wait until an asynchronous connection has done what it was asked for.

    :raises TimeoutError: at the deadline, a value of `time.monotonic`.
    """
    events = {psycopg2.extensions.POLL_READ: select.POLLIN, psycopg2.extensions.POLL_WRITE: select.POLLOUT}
    while (state := database.poll()) != psycopg2.extensions.POLL_OK:
        poller = select.poll()
        poller.register(database.fileno(), events[state])
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError


def _database() -> Results:
    deadline = time.monotonic() + DEADLINE
    unknown = Result(False, "unknown without the database")
    database = None
    try:
        database = psycopg2.connect(**connection.get_connection_params(), async_=True)
        _until(deadline, database)
        cursor = database.cursor()
        cursor.execute("SELECT current_setting('server_version'), to_regclass('django_migrations') IS NOT NULL")
        _until(deadline, database)
        version, has_table = cursor.fetchone()
        applied: set[tuple[str, str]] = set()
        if has_table:
            cursor.execute("SELECT app, name FROM django_migrations")
            _until(deadline, database)
            applied = set(cursor.fetchall())
    except TimeoutError:
        return {"database": Result(False, f"no answer within {DEADLINE} s"), "migrations": unknown}
    except psycopg2.Error as error:
        return {"database": Result(False, _told("not reachable", error)), "migrations": unknown}
    finally:
        if database is not None:
            database.close()
    missing = unapplied(applied)
    return {
        "database": Result(True, data={"version": version}),
        "migrations": Result(
            not missing,
            f"{len(missing)} not applied: type `manage.py migrate`" if missing else "",
            {"applied": len(applied), "unapplied": missing},
        ),
    }


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@cache
def _opener() -> urllib.request.OpenerDirector:
    """Give the HTTP client; making one reads the CA certificates, which takes longer than a request."""
    return urllib.request.build_opener(_NoRedirect)


QUEUE_ATTRIBUTES = {
    "ApproximateNumberOfMessages": "waiting",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
}


def _queue_counts(url: str, timeout: float) -> dict[str, int]:
    """Ask SQS for the messages of a queue, without a signature.

    :param url: of the queue.
    :param timeout: seconds for each step on the socket.
    :returns: the counts; none from AWS, which tells them to signed requests only and answers 403 to this
        one. That is an answer all the same.
    :raises OSError: if there is none, or one that says that there is no such queue.
    """
    form = "Action=GetQueueAttributes&Version=2012-11-05" + "".join(
        f"&AttributeName.{number}={name}" for number, name in enumerate(QUEUE_ATTRIBUTES, 1)
    )
    try:
        with _opener().open(url, form.encode(), timeout=timeout) as answer:
            body = answer.read(65536).decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 403:
                return {}
            raise OSError(f"status {error.code}") from None
    found = re.findall(r"<Name>(\w+)</Name>\s*<Value>(\d+)</Value>", body)
    return {QUEUE_ATTRIBUTES[name]: int(value) for name, value in found if name in QUEUE_ATTRIBUTES}


def _broker() -> Results:
    deadline = time.monotonic() + DEADLINE
    queues = {}
    for name, url in settings.SQS_QUEUE_URLS.items():
        try:
            queues[name] = _queue_counts(url, max(0.01, deadline - time.monotonic()))
        except TimeoutError:
            return {"broker": Result(False, f"no answer within {DEADLINE} s")}
        except (OSError, ValueError) as error:
            if isinstance(getattr(error, "reason", None), TimeoutError):
                return {"broker": Result(False, f"no answer within {DEADLINE} s")}
            return {"broker": Result(False, _told(f"queue `{name}` not reachable", error))}
    return {"broker": Result(True, data={"queues": queues})}


_CHECKS = {
    ("database", "migrations"): SingleFlight(_database),
    ("broker",): SingleFlight(_broker),
}
_last: dict[str, bool] = {}


def run() -> dict[str, Result]:
    """Run all checks, within `LIMIT` seconds. What changed since the last time is logged."""
    started = {names: check.start() for names, check in _CHECKS.items()}
    wait(started.values(), timeout=LIMIT)
    results: dict[str, Result] = {}
    for names, outcome in started.items():
        if not outcome.done():
            results |= {name: Result(False, f"no answer within {LIMIT} s") for name in names}
            continue
        try:
            results |= outcome.result()
        except Exception:
            logger.exception("check_failed", checks=names)
            results |= {name: Result(False, "the check itself failed: see the log") for name in names}
    for name, result in results.items():
        if _last.get(name, True) != result.ok:
            logger.warning("readiness_changed", check=name, ok=result.ok, detail=result.detail)
        _last[name] = result.ok
    return results
