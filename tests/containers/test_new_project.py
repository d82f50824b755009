"""Berth is installed and knows nothing of its example: a project that Django has just made runs with it, too."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

import pytest
from containers.checkout import ROOT, ok
from new_project import Shop, drive, new_project

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def shop(engine: None) -> Iterator[Shop]:
    if os.geteuid() == 0:
        # The image's user could not write the SQLite file of root's project; and root's Python may be for root only.
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
        assert python, "another user needs a Python of the system"
        with new_project("1000:1000", python) as made:
            yield made
    else:
        with new_project(None, sys.executable) as made:
            yield made


def test_a_fresh_django_project_is_driven_with_variables_only(shop: Shop) -> None:
    shop.environment["BERTH_ENGINE"] = "docker"
    ok(shop.inv("images.base"))
    drive(shop)
    assert {row.split()[0] for row in shop.leftovers(shop.name)} == {"volume"}


def test_its_image_is_tested_by_the_session_that_it_imports(shop: Shop) -> None:
    line = [str(shop.installed.venv / "bin" / "nox"), "-s", "test-in-container(image='dev')", "--", "-k", "admin"]
    assert "1 passed" in ok(shop.run(shop.command(*line))).stdout


def test_berth_names_no_part_of_the_example_project() -> None:
    for path in (ROOT / "berth").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("app.settings", "app/manage.py", "CustomUser", "worker-default", "users."):
            assert word not in text, f"{path.name}: {word}"
