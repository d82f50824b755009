"""A project that Django has just made, with Berth installed beside it and the files of the template put in place."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from containers.checkout import Checkout, free_port, ok
from installed import Installed, build, install, lock, put_template

# What README says about a project of one's own: no Celery, and no database server.
VARIABLES = {
    "DJANGO_FOLDER": "shop",
    "DJANGO_SETTINGS_MODULE": "shop.settings",
    "PROD_SETTINGS_MODULE": "shop.settings",
    "WSGI_MODULE": "shop.wsgi",
    "HEALTH_PATH": "/admin/login/",
    "WORKER_REPLICAS": "0",
    "DB_WAIT_TIMEOUT": "0",
}
# The project's own packages: none of Celery, none of PostgreSQL.
PACKAGES = {
    "base": "django\n",
    "prod": "-r base.in\ngunicorn\nwhitenoise[brotli]\n",
    "test": "-c prod.txt\npytest\npytest-cov\npytest-django\n",
    "dev": "-c prod.txt\n-r base.in\n-r test.in\n",
}
TEST = """
import pytest

@pytest.mark.django_db
def test_the_admin_is_there(client):
    assert client.get("/admin/login/").status_code == 200

def test_what_is_not_asked_for():
    assert False
"""


class Shop(Checkout):
    """A project, and no file of Berth's repository but those of the template, from the installed package."""

    installed: Installed

    def make(self, python: str) -> None:
        """Make the project in place of the copy of the repository.

        :param python: what to install Berth for; its users must be able to start it.
        """
        self.root = self.root.with_name(self.root.name.replace("berth-", "shop-"))
        self.root.mkdir(mode=0o755)
        wheel = build(self.root.parent / "wheel")
        self.installed = install(wheel, self.root.parent / "venv", python)
        self.environment.pop("PYTHONPATH", None)
        subprocess.run([sys.executable, "-m", "django", "startproject", "shop"], cwd=self.root, check=True)
        (self.root / "shop" / "test_shop.py").write_text(TEST)
        put_template(self.root, self.installed.python)
        lock(self.root / "requirements", **PACKAGES)
        template = self.root / ".env.template"
        # Those of the template are looked for by others on this machine, too.
        ports = {f"{name}_PUBLISHED_PORT": str(free_port()) for name in ("APP", "DB", "BROKER", "QUEUES")}
        for name, value in {**VARIABLES, **ports}.items():
            text, changed = re.subn(rf"(?m)^(# )?{name}=.*$", f"{name}={value}", template.read_text())
            assert changed == 1, name
            template.write_text(text)
        self.own(self.root)

    def task(self, *words: str) -> list[str]:
        return self.command(str(self.installed.venv / "bin" / "inv"), *words)


@contextlib.contextmanager
def new_project(user: str | None = None, python: str = sys.executable) -> Iterator[Shop]:
    """Give a project of that user which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="berth-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        made = Shop(Path(folder), user)
        try:
            made.make(python)
            yield made
        finally:
            made.inv("down")
            made.remove()


def drive(shop: Shop) -> None:
    """Do what every day brings, from the first start on."""
    assert not (shop.root / ".env").exists() or shop.value("DJANGO_FOLDER") == "shop"
    up = ok(shop.inv("up"))
    rows = {row.split()[0]: row.split()[1:] for row in up.stdout.splitlines() if " healthy " in f"{row} "}
    assert rows.keys() == {"app", "broker", "db", "queues"}
    assert b"The install worked successfully" in shop.get("/").body
    assert b"Django administration" in shop.get("/admin/login/").body

    # Nothing of Celery is there, and the page says so.
    assert b"boto3 is not installed" in shop.get("/api/queues", service="QUEUES").body

    tested = shop.inv("test")
    assert tested.returncode == 1
    assert "1 failed, 1 passed" in tested.stdout
    assert "1 passed" in ok(shop.inv("test", "-k", "admin")).stdout

    assert ok(shop.inv("manage", "check")).stdout == "System check identified no issues (0 silenced).\n"
    ok(shop.inv("manage", "startapp", "goods"))
    assert (shop.root / "shop/goods/models.py").is_file()
    ok(shop.inv("manage", "migrate", "--check"))

    ok(shop.inv("down"))
    assert shop.get("/").status == 0
    assert (shop.root / "shop/db.sqlite3").stat().st_size > 0
