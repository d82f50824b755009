"""Django's `migrate`, one at a time."""

import time
from typing import Any

from django.core.management.commands import migrate
from django.db import connections

# Any number that no other advisory lock in the database has: these are the letters of "migrate".
LOCK = int.from_bytes(b"migrate", "big")

INTERVAL = 0.1
"""Seconds between two attempts to take the lock."""


class Command(migrate.Command):
    """Hold an advisory lock of PostgreSQL while migrating: replicas that start together would race otherwise.

    The lock lives on a connection of its own, which no migration can close, and goes with the process if
    that dies.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        """Wait for the lock, then migrate."""
        connection = connections[options["database"]].copy()
        if connection.vendor != "postgresql":
            return super().handle(*args, **options)
        try:
            with connection.cursor() as cursor:
                self._lock(cursor, options["verbosity"])
            return super().handle(*args, **options)
        finally:
            connection.close()

    def _lock(self, cursor: Any, verbosity: int) -> None:
        """Ask again and again: a statement that waits in the server would hold a snapshot all the time, and
        `CREATE INDEX CONCURRENTLY` in the process that has the lock would wait for it, and both for ever."""
        told = False
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
            if cursor.fetchone()[0]:
                return
            if not told and verbosity:
                self.stdout.write("Another `migrate` is at work on this database: waiting for it to end.")
                self.stdout.flush()
                told = True
            time.sleep(INTERVAL)
