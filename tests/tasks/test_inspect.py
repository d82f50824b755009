"""`berth inspect`, also where there is no tasks.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dry_project import environment


def berth(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "berth", *words]
    return subprocess.run(line, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A Django project whose settings end whoever imports them."""
    folder = tmp_path / "shop"
    (folder / "shop").mkdir(parents=True)
    (folder / "manage.py").write_text(
        "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"
        "from django.core.management import execute_from_command_line\n"
    )
    (folder / "shop" / "settings.py").write_text("raise SystemExit('imported')\nINSTALLED_APPS = []\n")
    return folder


def test_facts_are_shown_with_file_and_line(shop: Path) -> None:
    made = berth(shop.parent, "inspect", "shop")
    assert (made.returncode, made.stderr) == (0, "")
    assert "shop.settings" in made.stdout
    assert "manage.py:2" in made.stdout


def test_json_has_the_same_facts(shop: Path) -> None:
    made = berth(shop, "inspect", "--json")
    assert (made.returncode, made.stderr) == (0, "")
    assert "shop.settings" in json.dumps(json.loads(made.stdout))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["inspect", "nowhere"],
            "there is no folder `nowhere`: type `berth inspect FOLDER`, with that of a Django project\n",
        ),
        (["inspect", "a", "b"], "`inspect` takes one folder, not 2: type `berth inspect a`\n"),
    ],
)
def test_a_folder_that_is_none_is_refused(tmp_path: Path, words: list[str], message: str) -> None:
    made = berth(tmp_path, *words)
    assert (made.returncode, made.stdout, made.stderr) == (1, "", message)
