"""Celery's beat, of which one runs at a time: `python -m berth_beat [OPTION...]`, options of `celery beat`.

However many are started, the one that holds an advisory lock in the project's own PostgreSQL sends; the others wait,
and are healthy. The server gives the lock back when its holder is gone, however that ended, so that nothing is left to
clean up, and needs no clock. Nothing of the project is asked for but its settings: any scheduler works.

CELERY_APP               module of the Celery application (app)
WORKER_HEARTBEAT_FILE    file that is touched at each tick, and by one that waits (/tmp/celery-worker-heartbeat)
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import zlib
from pathlib import Path
from typing import Any, NoReturn

import berth_telemetry
from celery import signals
from celery.__main__ import main as celery
from celery.app.utils import find_app

HEARTBEAT_FILE = Path(os.environ.get("WORKER_HEARTBEAT_FILE") or "/tmp/celery-worker-heartbeat")
INTERVAL_S = 3.0
"""Between two ticks, at most: Celery's own schedulers sleep up to five minutes."""
CLASS = 7034
"""The first half of the key of the lock; the second is made of the application's name."""
HELD = """
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() AND classid = %s AND objid = %s AND objsubid = 2
"""

logger = logging.getLogger("celery.beat")


class Lock:
    """The lock, on a connection of its own to the database `default` of Django; it goes with the connection."""

    def __init__(self, name: str) -> None:
        from django.db import connections

        self.connection = connections.create_connection("default")
        # Of PostgreSQL's signed numbers of 32 bits.
        self.key = [CLASS, zlib.crc32(name.encode()) & 0x7FFFFFFF]

    def taken(self) -> bool:
        """Take it, if nobody has it; return whether it is ours."""
        return bool(self.ask("SELECT pg_try_advisory_lock(%s, %s)"))

    def held(self) -> bool:
        """Return whether it is still ours: a connection that was lost, or went through a pool, has none."""
        from django.db import Error

        try:
            return bool(self.ask(HELD))
        except Error:
            return False

    def ask(self, statement: str) -> Any:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, self.key)
            return cursor.fetchone()[0]


def lock_of(name: str) -> Lock | None:
    """Return the lock of an application; None, and a line, where there is nothing to keep one in."""
    try:
        import django
        from django.db import connections

        # As Celery does itself, only later.
        django.setup()
        vendor = connections["default"].vendor
    except Exception as error:  # no Django, no settings, no database: what follows is the same
        vendor = f"not to be had ({error})"
    if vendor == "postgresql":
        return Lock(name)
    say(f"nothing keeps a second beat from running: the database `default` is {vendor}, not postgresql")
    return None


def wait(lock: Lock) -> None:
    """Return once the lock is ours; one that waits is alive, and says so."""
    signal.signal(signal.SIGTERM, end)
    waited = False
    while not lock.taken():
        if not waited:
            say("another beat runs, waiting until it has ended")
        waited = True
        HEARTBEAT_FILE.touch()
        time.sleep(INTERVAL_S)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end(*_: object) -> NoReturn:
    """End as asked, with nothing begun."""
    HEARTBEAT_FILE.unlink(missing_ok=True)
    sys.exit(0)


def say(words: str) -> None:
    """Print a line; logging is not set up before Celery runs."""
    print(f"berth_beat: {words}", file=sys.stderr, flush=True)


class Watch:
    """Ticks that touch the heartbeat, and none without the lock."""

    def __init__(self, lock: Lock | None) -> None:
        self.lock, self.lost = lock, False

    def begin(self, sender: Any, **_: object) -> None:
        """Put ourselves in front of the ticks of the scheduler, which is about to begin."""
        tick = sender.scheduler.tick

        def watched(*arguments: Any, **options: Any) -> float:
            if self.lock and not self.lock.held():
                self.lost = True
                logger.critical("the lock is lost, as another beat may run now: ending, to be started again")
                raise SystemExit
            pause = tick(*arguments, **options)
            HEARTBEAT_FILE.touch()
            return min(pause, INTERVAL_S)

        sender.scheduler.tick = watched


def main() -> None:
    name = os.environ.get("CELERY_APP") or "app"
    # Its settings become Django's; Celery finds the same one again.
    find_app(name)
    HEARTBEAT_FILE.unlink(missing_ok=True)
    lock = lock_of(name)
    if lock:
        wait(lock)
    berth_telemetry.complain()
    berth_telemetry.start("beat")
    watch = Watch(lock)
    signals.beat_init.connect(watch.begin, weak=False)
    sys.argv = ["celery", "-A", name, "beat", *sys.argv[1:]]
    try:
        celery()
    finally:
        HEARTBEAT_FILE.unlink(missing_ok=True)
        if watch.lost:
            # Celery takes the SystemExit of a tick for its own end, with 0.
            sys.exit(os.EX_TEMPFAIL)


if __name__ == "__main__":
    main()
