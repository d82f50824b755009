"""Berth knows nothing of its example: a project that Django has just made runs with it, too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers.checkout import ROOT, Checkout, checkout, ok

pytestmark = pytest.mark.containers


class Shop(Checkout):
    """A checkout that holds a fresh project, and of Berth's repository only what one copies."""

    def fill(self) -> None:
        """Replace the copy of the repository."""
        copied = self.root.with_name("copied")
        self.root.rename(copied)
        self.root.mkdir(mode=0o755)
        for name in ("tasks.py", "noxfile.py", "docker", "requirements", ".env.template"):
            (copied / name).rename(self.root / name)
        # As an installed package, outside of the project.
        (self.library).mkdir(exist_ok=True)
        (copied / "berth").rename(self.library / "berth")
        shutil.rmtree(copied)
        self.environment["PYTHONPATH"] = str(self.library)
        subprocess.run([sys.executable, "-m", "django", "startproject", "shop"], cwd=self.root, check=True)
        self.own(self.root)


@pytest.fixture(scope="module")
def shop(engine: None) -> Iterator[Checkout]:
    user = "1000:1000" if os.geteuid() == 0 else None
    with checkout(user) as made:
        made.__class__ = Shop
        made.fill()
        made.prepare()
        made.set(
            DJANGO_FOLDER="shop",
            DJANGO_SETTINGS_MODULE="shop.settings",
            HEALTH_PATH="/admin/login/",
            DB_HOST="",
            WORKER_REPLICAS="0",
            CELERY_APP="shop",
        )
        yield made


def test_a_fresh_django_project_is_driven_with_variables_only(shop: Checkout) -> None:
    up = ok(shop.inv("up"))
    rows = {row.split()[0]: row.split()[1:] for row in up.stdout.splitlines() if " healthy " in f"{row} "}
    assert rows.keys() == {"app", "broker", "db"}
    assert b"The install worked successfully" in shop.get("/").body
    assert b"Django administration" in shop.get("/admin/login/").body

    check = ok(shop.inv("manage", "check"))
    assert check.stdout == "System check identified no issues (0 silenced).\n"
    ok(shop.inv("manage", "startapp", "goods"))
    assert (shop.root / "shop/goods/models.py").is_file()
    assert ok(shop.inv("manage", "migrate", "--check")).returncode == 0

    ok(shop.inv("down"))
    assert {row.split()[0] for row in shop.leftovers(shop.name)} == {"volume"}
    assert (shop.root / "shop/db.sqlite3").stat().st_size > 0


def test_berth_names_no_part_of_the_example_project() -> None:
    for path in (ROOT / "berth").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("app.settings", "app/manage.py", "CustomUser", "worker-default", "users."):
            assert word not in text, f"{path.name}: {word}"


def test_the_fixture_is_a_project_of_its_own(shop: Checkout) -> None:
    assert not (shop.root / "berth").exists()
    assert not (shop.root / "app").exists()
    assert Path(shop.environment["PYTHONPATH"], "berth").is_dir()
