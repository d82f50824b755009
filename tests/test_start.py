"""The quick import of Invoke: the same package, without what no task needs."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from doors import DOORS, ROOT

from berth import start

BERTH = DOORS["./inv"]


def python(code: str) -> str:
    """Return what a new Python prints that knows this module as `start`."""
    line = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); from berth import start; {code}"]
    return subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout


def test_nothing_slow_is_imported() -> None:
    loaded = python("start.import_invoke(); import invoke; print(*sys.modules)").split()
    assert "invoke.program" in loaded
    assert {"asyncio", "email", "invoke.vendor.yaml", "unittest", "unittest.mock", "importlib.metadata"} & set(
        loaded
    ) == set()


def test_loading_the_tasks_imports_nothing_that_only_one_of_them_needs() -> None:
    """Each start of `inv` waited for it."""
    loaded = python("start.import_invoke(); from berth import tasks; print(*sys.modules)").split()
    assert "berth.tasks.postgres_upgrade" in loaded
    single = {
        "berth.engines.docker.engine",
        "berth.queues.definition",
        "gzip",
        "shutil",
        "socket",
        "tarfile",
        "tomllib",
    }
    assert single & set(loaded) == set()


def test_stand_ins_are_gone_afterwards() -> None:
    code = "start.import_invoke(); from importlib import metadata; from unittest import mock; "
    assert python(code + "print(metadata.version('nox'), mock.Mock()(), sep='|')").startswith(
        f"{importlib.metadata.version('nox')}|<Mock name='mock()'"
    )


def test_invoke_keeps_its_version_and_its_mocks() -> None:
    code = (
        "start.import_invoke(); import invoke, unittest.mock; "
        "c = invoke.MockContext(run={'ls': True}); c.run('ls'); c.run.assert_called_once_with('ls'); "
        "print(invoke.__version__, isinstance(c.run, unittest.mock.Mock))"
    )
    assert python(code) == f"{importlib.metadata.version('invoke')} True\n"


def test_invoke_still_reads_a_file_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "invoke.yaml").write_text("colour: [red, green]\n")
    (tmp_path / "tasks.py").write_text(
        "from invoke import task\n@task\ndef show(c):\n    print(c.config.colour)\n    raise SystemExit(7)\n"
    )
    made = subprocess.run([*BERTH, "show"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (made.returncode, made.stdout, made.stderr) == (7, "['red', 'green']\n", "")


def test_invoke_that_needs_more_is_imported_as_usual(tmp_path: Path) -> None:
    (tmp_path / "invoke").mkdir()
    (tmp_path / "invoke" / "__init__.py").write_text("from unittest.mock import MagicMock\nfrom . import part\n")
    (tmp_path / "invoke" / "part.py").touch()
    code = f"sys.path.insert(0, {str(tmp_path)!r}); start.import_invoke(); print('invoke' in sys.modules); "
    assert python(code + "import invoke; print(invoke.MagicMock.__module__)") == "False\nunittest.mock\n"


def test_version_of_what_is_not_installed_is_an_error() -> None:
    with pytest.raises(ImportError, match=r"^no-such-package is not installed$"):
        start.version("no-such-package")
