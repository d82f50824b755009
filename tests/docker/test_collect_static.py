"""What collect_static.py finds nothing to collect for, and what it refuses; test_root_project.py sees it collect."""

import subprocess
import sys
from pathlib import Path

import pytest
from servers import APP

APPS = "INSTALLED_APPS = ['django.contrib.staticfiles']\nSTATIC_URL = 'static/'\n"
ELSEWHERE = (
    "from django.core.files.storage import Storage\nclass Bucket(Storage):\n    pass\n"
    "STORAGES = {'staticfiles': {'BACKEND': 'shop.Bucket'}}\n"
)


def collect(folder: Path, settings: str) -> tuple[int, str]:
    """Run the script in a project of these settings; return its exit code and what it prints."""
    (folder / "shop.py").write_text(settings)
    environment = {"DJANGO_SETTINGS_MODULE": "shop", "PYTHONDONTWRITEBYTECODE": "1"}
    line = [sys.executable, str(APP / "collect_static.py")]
    result = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("", "`django.contrib.staticfiles` is not installed."),
        (APPS, "STATIC_ROOT is not set."),
        (APPS + ELSEWHERE, "their storage is elsewhere, and `collectstatic` is for the release to run."),
    ],
    ids=["no staticfiles", "no root", "storage elsewhere"],
)
def test_project_with_nothing_to_collect_is_built_all_the_same(tmp_path: Path, settings: str, reason: str) -> None:
    assert collect(tmp_path, settings) == (0, f"No static files: {reason}\n")


def test_root_outside_of_the_image_is_refused(tmp_path: Path) -> None:
    assert collect(tmp_path, f"{APPS}STATIC_ROOT = '/srv/static'\n") == (
        1,
        "collect_static.py: STATIC_ROOT is `/srv/static`, which is not in the image: "
        "read it from the variable STATIC_ROOT, or set a folder of the project\n",
    )


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("import os\nKEY = os.environ['STRIPE_KEY']\n", "KeyError: 'STRIPE_KEY'"),
        ("raise SystemExit('STRIPE_KEY is not set')\n", "SystemExit: STRIPE_KEY is not set"),
    ],
)
def test_settings_that_want_another_variable_are_told_where_to_add_it(
    tmp_path: Path, settings: str, reason: str
) -> None:
    assert collect(tmp_path, settings) == (
        1,
        f"collect_static.py: the settings `shop` could not be loaded ({reason})\n"
        "collect_static.py: is that not their module? Set PROD_SETTINGS_MODULE in .env\n"
        "collect_static.py: do they need another variable? "
        "Give it a placeholder where docker/app/Dockerfile runs this script\n",
    )
