"""Small projects, written for one test each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from berth.inspect import Facts, facts
from tests.django_files import manage, wsgi

Project = Callable[[Mapping[str, str]], Facts]

MANAGE = manage("site1.settings")
WSGI = wsgi("site1.settings")
APPS = 'INSTALLED_APPS = ["django.contrib.auth"]\n'
PLAIN = {"manage.py": MANAGE, "site1/__init__.py": "", "site1/wsgi.py": WSGI, "site1/settings.py": APPS}


@pytest.fixture
def plain() -> dict[str, str]:
    """Return the files of the smallest project."""
    return dict(PLAIN)


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files below a folder; their common indentation is taken off."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return what writes files and gives the facts of the project that they make."""

    def made(files: Mapping[str, str]) -> Facts:
        write(tmp_path, files)
        return facts(tmp_path)

    return made


@pytest.fixture
def with_settings(project: Project) -> Callable[..., Facts]:
    """Return what gives the facts of a plain project with these settings, and with more files."""

    def made(settings: str, files: Mapping[str, str] | None = None) -> Facts:
        return project({**PLAIN, "site1/settings.py": APPS + dedent(settings), **(files or {})})

    return made
