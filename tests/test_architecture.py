"""The rules of the package: who may import, start and name what."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke import Collection, Task

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "berth").rglob("*.py"))
TASK_MODULES = sorted((ROOT / "berth" / "tasks").glob("*.py"))
ENGINE_MODULES = sorted((ROOT / "berth" / "engines").glob("*.py"))
IMPURE = {"process.py", "project.py", "collection.py", "arguments.py", "start.py"}
PURE = [path for path in MODULES if path not in [*TASK_MODULES, *ENGINE_MODULES] and path.name not in IMPURE]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(tree: ast.AST) -> Iterator[str]:
    """Give the full names of what is imported: `a.b` of `import a.b` and of `from a import b`, with `a` itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def roots(path: Path) -> set[str]:
    """Return the top-level packages that a file imports."""
    return {imported.partition(".")[0] for imported in imports(ast.parse(path.read_text()))}


def starts_processes(tree: ast.AST) -> list[str]:
    """Return what in a file starts processes."""
    starting = re.compile(r"(system|popen|fork|forkpty|exec[lv]p?e?|spawn[lv]p?e?|posix_spawnp?)$")
    modules = {"subprocess", "pty", "multiprocessing", "pexpect", "asyncio"}
    found = [imported for imported in imports(tree) if imported.partition(".")[0] in modules]
    found += [imported for imported in imports(tree) if re.match(r"os\.", imported) and starting.match(imported[3:])]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "os" and starting.match(node.attr):
                found.append(f"os.{node.attr}")
            # Invoke's own runner, on a context.
            if node.value.id in {"c", "ctx", "context"} and node.attr in {"run", "sudo"}:
                found.append(f"{node.value.id}.{node.attr}")
    return found


def words_of_lists(tree: ast.AST) -> Iterator[list[object]]:
    """Give the constants of each list, tuple and call."""
    for node in ast.walk(tree):
        elements = node.args if isinstance(node, ast.Call) else getattr(node, "elts", [])
        yield [element.value for element in elements if isinstance(element, ast.Constant)]


def strings(tree: ast.AST) -> Iterator[str]:
    """Give the string constants of a file that are neither docstrings nor help nor the name of a role."""
    ignored: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            ignored.add(node.value)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {"role", "with_role"}:
            ignored.update(node.args)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in ignored:
            yield node.value


def test_there_are_modules_to_check() -> None:
    assert {"berth/compose.py", "berth/env.py", "berth/services.py"} <= {name(path) for path in PURE}
    assert {"berth/tasks/stack.py", "berth/tasks/django.py"} <= {name(path) for path in TASK_MODULES}
    assert {"berth/engines/docker.py", "berth/engines/embedded.py"} <= {name(path) for path in ENGINE_MODULES}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import subprocess", ["subprocess"]),
        ("from subprocess import run", ["subprocess", "subprocess.run"]),
        ("import os\nos.system('ls')", ["os.system"]),
        ("from os import execvp", ["os.execvp"]),
        ("import os\nos.execv('ls', [])", ["os.execv"]),
        ("def f(c):\n c.run('ls')", ["c.run"]),
        ("import os\nos.getuid()\nos.environ", []),
    ],
)
def test_start_of_a_process_is_recognised(code: str, found: list[str]) -> None:
    assert starts_processes(ast.parse(code)) == found


@pytest.mark.parametrize(
    "path", [path for path in [*MODULES, ROOT / "tasks.py"] if path.name != "process.py"], ids=name
)
def test_only_process_py_starts_processes(path: Path) -> None:
    assert starts_processes(ast.parse(path.read_text())) == []


def test_only_compose_py_writes_compose_lines() -> None:
    writing = [
        name(path)
        for path in MODULES
        for words in words_of_lists(ast.parse(path.read_text()))
        if words[:2] == ["docker", "compose"] or "docker-compose" in words
    ]
    assert writing == ["berth/compose.py"]


@pytest.mark.parametrize("path", PURE, ids=name)
def test_modules_that_compute_know_no_invoke(path: Path) -> None:
    assert "invoke" not in roots(path)
    assert not [imported for imported in imports(ast.parse(path.read_text())) if imported.startswith("berth.tasks")]


@pytest.mark.parametrize("path", TASK_MODULES, ids=name)
def test_tasks_of_other_modules_are_not_imported_by_name(path: Path) -> None:
    """They would be listed a second time, below this module."""
    imported = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("berth.tasks.")
        for alias in node.names
        if isinstance(getattr(importlib.import_module(str(node.module)), alias.name), Task)
    ]
    assert imported == []


@pytest.mark.parametrize("path", TASK_MODULES, ids=name)
def test_tasks_name_no_engine(path: Path) -> None:
    """They ask `berth.engines` for one, and know neither Compose nor the supervisor."""
    tree = ast.parse(path.read_text())
    known = {"docker", "compose", "embedded", "engine", "supervisor", "programs"}
    assert {imported.rpartition(".")[2] for imported in imports(tree)} & known == set()
    assert [text for text in strings(tree) if re.search("docker|embedded", text)] == []


def project_tasks() -> dict[str, Task]:
    """Return the tasks of tasks.py, by the names that are typed."""
    namespace: dict[str, object] = {"__file__": str(ROOT / "tasks.py")}
    exec(compile((ROOT / "tasks.py").read_text(), "tasks.py", "exec"), namespace)
    collection = namespace["namespace"]
    assert isinstance(collection, Collection)
    return {task: collection[task] for task in collection.task_names}


TASKS = project_tasks()


@pytest.mark.parametrize("task", TASKS)
def test_task_has_a_summary_of_one_line(task: str) -> None:
    summary = (inspect.getdoc(TASKS[task].body) or "").splitlines()[:2]
    assert len(summary) == 1 or summary[1] == ""
    assert re.fullmatch(r"[A-Z].*\.", summary[0])


@pytest.mark.parametrize("task", TASKS)
def test_every_option_has_a_help_that_is_a_sentence(task: str) -> None:
    helps = {argument.name: argument.help or "" for argument in TASKS[task].get_arguments()}
    assert [option for option, text in helps.items() if not re.fullmatch(r"[A-Z].*\.", text)] == []


def test_tasks_py_is_a_table_of_contents() -> None:
    documentation, *statements = ast.parse((ROOT / "tasks.py").read_text()).body
    kinds = [type(statement) for statement in statements]
    assert isinstance(documentation, ast.Expr)
    assert kinds == [ast.ImportFrom] * (len(kinds) - 1) + [ast.Assign]


@pytest.mark.parametrize("path", sorted((ROOT / "app").rglob("*.py")), ids=name)
def test_django_project_knows_nothing_of_berth(path: Path) -> None:
    assert roots(path).isdisjoint({"berth", "tasks", "noxfile", "invoke", "nox"})


def example_names() -> set[str]:
    """Return the names of the example: its services, and its Django packages."""
    compose = (ROOT / "docker" / "docker-compose.yml").read_text()
    services = set(
        re.findall(r"^  ([a-z-]+):$", compose.partition("\nservices:\n")[2].partition("\nvolumes:")[0], re.M)
    )
    return services | {path.parent.name for path in (ROOT / "app").glob("*/__init__.py")}


def test_names_of_the_example_are_known() -> None:
    assert {"db", "broker", "app", "worker-default", "migrate", "users", "status"} <= example_names()


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_berth_names_nothing_of_the_example(path: Path) -> None:
    """It drives any Django project: services are found by their label, all else stands in .env."""
    tree = ast.parse(path.read_text())
    own = {"docker"}
    assert [text for text in strings(tree) if text in example_names() - own] == []
    assert [text for text in strings(tree) if re.search(r"app\.settings|sqs://|elasticmq|postgres:", text)] == []


def test_list_of_tasks_imports_nothing_slow() -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "invoke", "--list", "--list-format", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0
    assert json.loads(result.stdout)["tasks"]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "berth" in imported
    assert imported & {"django", "boto3", "botocore", "celery", "kombu", "nox", "pytest", "psycopg2"} == set()
