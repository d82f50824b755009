"""start-celery-beat.sh and berth_beat.py with a real Celery, Django and PostgreSQL."""

import os
import signal
from pathlib import Path
from typing import Any

from servers import APP, Postgres, running, wait_until

CELERY_APP = """
import os

from celery import Celery
from django.conf import settings

settings.configure(DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": os.environ["DB_PORT"],
    "NAME": "shop", "USER": "web", "PASSWORD": "secret",
}})
app = Celery("shop", broker="memory://")
"""


def test_second_beat_waits_healthy_until_the_first_has_ended(
    postgres: Postgres, container: Any, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(CELERY_APP)
    beats = [tmp_path / "first/beat", tmp_path / "second/beat"]
    environments = []
    for beat in beats:
        beat.parent.mkdir()
        environments.append(
            container(BERTH_LIB=APP, CELERY_APP="shop", DB_PORT=postgres.port, WORKER_HEARTBEAT_FILE=beat)
        )
    command = ["bash", str(APP / "start-celery-beat.sh")]

    def has_schedule(beat: Path) -> bool:
        """Whether it has begun to send; the file has a suffix of the library that keeps it."""
        return any(beat.parent.glob("celerybeat-schedule*"))

    with running(command, env=environments[0], cwd=tmp_path) as first:
        wait_until(lambda: beats[0].exists() and has_schedule(beats[0]), "the first ticks", 60)
        with running(command, env=environments[1], cwd=tmp_path) as second:
            wait_until(beats[1].exists, "the second waits", 60)
            assert not has_schedule(beats[1])
            first.send_signal(signal.SIGTERM)
            assert first.wait(timeout=30) == 0
            assert not beats[0].exists()
            wait_until(lambda: has_schedule(beats[1]), "the second has taken over", 30)
            second.send_signal(signal.SIGTERM)
            assert second.wait(timeout=30) == 0


def test_beat_that_has_lost_its_lock_ends_to_be_started_again(
    postgres: Postgres, container: Any, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(CELERY_APP)
    heartbeat = tmp_path / "beat"
    environment = container(BERTH_LIB=APP, CELERY_APP="shop", DB_PORT=postgres.port, WORKER_HEARTBEAT_FILE=heartbeat)
    # Django warns of a query before it is set up.
    environment["PYTHONWARNINGS"] = "error::RuntimeWarning"
    with running(["bash", str(APP / "start-celery-beat.sh")], env=environment, cwd=tmp_path) as beat:
        wait_until(heartbeat.exists, "the first tick", 60)
        (ended,) = postgres.query("SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory'")
        assert ended == (1,)
        assert beat.wait(timeout=30) == os.EX_TEMPFAIL
        assert not heartbeat.exists()
