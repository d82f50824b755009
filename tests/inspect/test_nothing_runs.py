"""Nothing of the project is imported or run, and nothing of it ends in a traceback."""

from __future__ import annotations

import ast
import builtins
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from berth.inspect import Facts, facts, rendering

Project = Callable[[Mapping[str, str]], Facts]
PACKAGE = Path(__file__).parents[2] / "berth" / "inspect"
CANARY = """
import pathlib, sys
pathlib.Path(__file__).with_name("canary-has-died").write_text("executed")
sys.exit("executed")
"""


def test_canary_is_never_executed(
    tmp_path: Path, project: Project, plain: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the fact finder started something")

    files = {
        **plain,
        "site1/celery.py": 'from celery import Celery\napp = Celery("x")\n',
        "setup.py": "",
        "tasks.py": "",
    }
    for name in ("Popen", "run"):
        monkeypatch.setattr(subprocess, name, refuse)
    monkeypatch.setattr(socket, "socket", refuse)
    before = set(sys.modules)
    found = project({name: text + CANARY if name.endswith(".py") else text for name, text in files.items()})
    assert found.value("settings.development") == "site1.settings"
    assert list(tmp_path.rglob("canary-has-died")) == []
    assert not [name for name in set(sys.modules) - before if name.partition(".")[0] in {"site1", "manage", "setup"}]


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.name)
def test_module_has_no_means_to_run_anything(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {(node.module or "").partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert imported.isdisjoint({"subprocess", "importlib", "runpy", "socket", "urllib", "http", "asyncio", "django"})
    assert called.isdisjoint({"exec", "eval", "compile", "__import__"} & set(dir(builtins)))


def test_syntax_error_is_a_fact(project: Project, plain: dict[str, str]) -> None:
    found = project({**plain, "site1/settings.py": "INSTALLED_APPS = [\n"})
    problem = found.get("problem")
    assert problem is not None
    assert str(problem.origin) == "site1/settings.py:1"
    assert "was not read" in str(problem.value)


def test_except_without_parentheses_is_read_by_any_python(project: Project, plain: dict[str, str]) -> None:
    text = "try:\n    X = 1\nexcept ValueError, KeyError:\n    X = 2\nINSTALLED_APPS = []\nSTATIC_ROOT = 's'\n"
    found = project({**plain, "site1/settings.py": text})
    assert (found.get("problem"), found.value("setting.STATIC_ROOT")) == (None, {"value": "s", "variables": []})


def test_file_in_another_encoding_is_read_and_said(tmp_path: Path, project: Project, plain: dict[str, str]) -> None:
    project(plain)
    text = "# caf\xe9\nINSTALLED_APPS = []\nSTATIC_ROOT = 's'\n"
    (tmp_path / "site1" / "settings.py").write_bytes(text.encode("latin-1"))
    found = facts(tmp_path)
    assert [(str(each.origin), each.value) for each in found if each.name == "problem"] == [
        ("site1/settings.py", "is not UTF-8: read as Latin-1")
    ]
    assert found.get("setting.STATIC_ROOT") is not None


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("compose.yaml", "services: [\n"),
        ("compose.yaml", "services:\n  a: &a\n    b: *c\n"),
        ("pyproject.toml", "[project\n"),
        ("Pipfile.lock", "{"),
        ("package.json", "{"),
        ("app.json", "["),
        ("setup.cfg", "x"),
        ("requirements.txt", "django==5.2\n===\n"),
        ("site1/urls.py", "path('\0')"),
    ],
)
def test_file_that_cannot_be_parsed_is_a_fact(project: Project, plain: dict[str, str], file: str, text: str) -> None:
    files = {**plain, **({"Pipfile": "[packages]\n"} if file == "Pipfile.lock" else {}), file: text}
    if file == "site1/urls.py":
        files[file] = "health" + text
    assert file in [each.origin.file for each in project(files) if each.name == "problem"]


def test_link_out_of_the_project_is_not_read(tmp_path: Path, plain: dict[str, str], project: Project) -> None:
    project(plain)
    (tmp_path / "site1" / "settings.py").unlink()
    (tmp_path / "site1" / "settings.py").symlink_to(Path(__file__))
    assert "leads out" in str(facts(tmp_path).value("problem"))


def test_settings_that_import_each_other_end(project: Project, plain: dict[str, str]) -> None:
    files = {
        "site1/settings.py": "from .b import *\nINSTALLED_APPS = []\nX = Y\n",
        "site1/b.py": "from .settings import *\nY = X\n",
    }
    assert project({**plain, **files}).value("settings.development") == "site1.settings"


def test_format_of_theirs_cannot_ask_for_a_gigabyte(project: Project, plain: dict[str, str]) -> None:
    started = time.monotonic()
    project({**plain, "site1/settings.py": 'INSTALLED_APPS = []\nSTATIC_ROOT = "{:>9999999999}".format(1)\n'})
    assert time.monotonic() - started < 5


READ = [
    "site1/settings.py",
    "manage.py",
    "compose.yaml",
    "Dockerfile",
    "requirements.txt",
    ".env.example",
    "Procfile",
    "pyproject.toml",
    "package.json",
    ".github/workflows/ci.yml",
    "poetry.lock",
    "setup.cfg",
]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(READ),
    text=st.text(max_size=200),
)
def test_no_text_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, plain: dict[str, str], name: str, text: str
) -> None:
    root = tmp_path_factory.mktemp("any")
    for file, content in {**plain, name: text}.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", errors="surrogatepass")
    found = facts(root)
    assert rendering.as_json(found) and rendering.as_table(found)


FRAGMENTS = ["import os", "from .x import *", "A = os.environ['A']", "A = A + 'b'", "B = f'{A}-{C}'", "C = B or A", "if A:",
             "    D = env('D', default=B)", "else:", "    D = [A, B]", "DATABASES = {'default': env.db()}",
             "DATABASES['default']['HOST'] = A", "DATABASES = A", "CACHES = {'default': {'LOCATION': B}}",
             "CELERY_BROKER_URL = D", "X = A if B else C", "X += (A,)", "def f(n): return os.environ[n]", "Y = f('Y')",
             "class S(T):", "    DATABASES = {}", "include('a.py')"]  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.sampled_from(FRAGMENTS), max_size=14))
def test_no_settings_end_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, plain: dict[str, str], lines: list[str]
) -> None:
    root = tmp_path_factory.mktemp("any")
    extra = {
        "site1/x.py": "from .settings import *\nC = A\n",
        "site1/celery.py": "from celery import Celery\napp = Celery()\n",
    }
    for file, content in {**plain, **extra, "site1/settings.py": "\n".join(["INSTALLED_APPS = []", *lines])}.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    assert facts(root).value("manage") == "manage.py"


def test_large_project_takes_less_than_two_seconds(tmp_path: Path, project: Project, plain: dict[str, str]) -> None:
    module = "from django.db import models\n" + "class A(models.Model):\n    x = 1\n" * 100
    files = {f"site1/app{number // 50}/module{number}.py": module for number in range(2000)}
    project({**plain, **files, "site1/migrations/0001.py": "x = 1\n"})
    started = time.process_time()
    facts(tmp_path)
    assert time.process_time() - started < 2
