"""A project that Django has just made comes up on PostgreSQL by `berth init` alone, and nothing of it is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from containers.checkout import ROOT, free_port

pytestmark = pytest.mark.containers

CLOCK = """
import time
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    def handle(self, **options):
        print("tick", flush=True)
        time.sleep(3600)
"""


class Adopted:
    """A project in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        ports = {name: str(free_port()) for name in ("APP_PUBLISHED_PORT", "DB_PUBLISHED_PORT")}
        self.environment = {**os.environ, **ports, "PYTHONPATH": str(ROOT), "BERTH_ENGINE": "docker"}

    def run(self, *line: str) -> str:
        done = subprocess.run(
            line, cwd=self.root, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def berth(self, *words: str) -> str:
        return self.run(sys.executable, "-m", "berth", *words)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def ask(self, code: str) -> Sequence[str]:
        return self.berth("manage", "shell", "-c", code).split()


@pytest.fixture(scope="module")
def shop(engine: None) -> Iterator[Adopted]:
    folder = Path(tempfile.mkdtemp(prefix="berth-init-"))
    folder.chmod(0o755)
    made = Adopted(folder / f"{folder.name}-shop")
    made.root.mkdir(mode=0o755)
    try:
        made.run(sys.executable, "-m", "django", "startproject", "shop", ".")
        uv = str(Path(sys.executable).with_name("uv"))
        made.run(uv, "init", "--bare", "--quiet", "--name", "shop", ".")
        made.run(uv, "add", "--quiet", "--no-sync", "django<6", "psycopg[binary]")
        made.write("clock/management/commands/tick.py", CLOCK)
        made.write("Procfile", "web: gunicorn shop.wsgi\nclock: python manage.py tick\n")
        settings = (made.root / "shop/settings.py").read_text()
        made.write("shop/settings.py", settings + 'INSTALLED_APPS += ["clock"]\n')
        made.run("git", "init", "--quiet")
        made.run("git", "add", ".")
        yield made
    finally:
        subprocess.run(
            ["docker", "compose", "down", "--volumes", "--rmi", "local"], cwd=made.root, env=made.environment,
            capture_output=True, check=False,
        )  # fmt: skip
        shutil.rmtree(folder)


def test_a_fresh_project_runs_on_postgresql_and_none_of_its_files_changes(shop: Adopted) -> None:
    shop.berth("init", "--yes", "--answer", "python=3.13")
    shop.berth("images.base")
    said = shop.berth("init", "--verify")
    assert "L4 passed" in said
    assert "worker-clock run" in said
    assert shop.run("git", "diff", "--stat") == ""
    shop.berth("up")
    assert "postgresql" in shop.ask("from django.db import connection; print(connection.vendor)")
    # What `db.check-migrations` and `db.try-migrations` run in it.
    shop.berth("exec", "app", "test", "-x", "/usr/local/bin/check-migrations")
    # A package that makes a user, in an image where every number has a name.
    script = "python3 /usr/local/lib/berth/system_packages.py add dbus && getent passwd messagebus 54321"
    image = f"{shop.root.name}-app:dev"
    users = shop.run("docker", "run", "--rm", "--user=0", image, "sh", "-c", script).splitlines()
    assert [line.split(":")[0] for line in users] == ["messagebus", "uid-54321"]
    # Plain Compose gives the same.
    shop.run("docker", "compose", "down")
    shop.run("docker", "compose", "up", "--wait")
    assert "tick" in shop.run("docker", "compose", "logs", "worker-clock")
