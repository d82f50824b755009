"""The rules of the package: who may reach what, import whom, and name what."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from invoke import Collection, Task

from berth.arguments import Task as BerthTask

ROOT = Path(__file__).parents[1]
# Programs of their own that other Pythons and images run, not part of what `inv` imports.
PROGRAMS = ("berth/base_images/recipes/", "berth/engines/embedded/scripts/", "berth/init/files/")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


MODULES = [path for path in sorted((ROOT / "berth").rglob("*.py")) if not name(path).startswith(PROGRAMS)]
TASK_MODULES = sorted((ROOT / "berth" / "tasks").glob("*.py"))

# --- What a module may reach -------------------------------------------------

EFFECTS = {
    "process": r"(subprocess|pty|multiprocessing|pexpect|asyncio)\b|os\.(system|popen|fork|forkpty|exec[lv]p?e?"
    r"|spawn[lv]p?e?|posix_spawnp?)$|(c|ctx|context)\.(run|sudo)$",
    "network": r"(socket|http|urllib(?!\.parse)|xmlrpc|ssl|smtplib|ftplib)\b",
    "signal": r"os\.(kill|killpg)$|signal\.(signal|setitimer|alarm|set_wakeup_fd)$"
    r"|\w+\.(send_signal|kill|terminate)$",
    "write": r"(shutil|tempfile)\.(?!which$)|\w+\.(write_text|write_bytes|mkdir|unlink|rmdir|rename|symlink_to"
    r"|hardlink_to|touch|chmod)$|os\.(replace|rename|link|symlink|chown|chmod|mkdir|makedirs|remove|unlink|open|fdopen)$",
}

ALLOWED = {
    "berth/process.py": ("process signal", "it starts all processes, and passes signals on to them"),
    "berth/stdio.py": ("write", "it opens the files that a process reads and writes"),
    "berth/db/storage.py": ("write", "it gives a dump its name once it is whole, and takes away what is not"),
    "berth/__main__.py": ("signal", "Ctrl-C during the imports ends us without a traceback"),
    "berth/cli.py": ("signal write", "the same, and a pipe that nobody reads is closed"),
    "berth/ports.py": ("network", "a port is free if it can be bound"),
    "berth/env/create.py": ("write", "it makes and replaces `.env`, whole or not at all"),
    "berth/deploy/swarm/files.py": ("write", "docker takes secrets and stack files from files only, for a moment"),
    "berth/deploy/kubernetes/files.py": ("write", "it writes the kustomization of a release into `.berth`"),
    "berth/engines/docker/client.py": ("network", "a connection to the engine's socket costs less than its client"),
    "berth/engines/docker/mark.py": ("write", "it remembers in `.berth` that the services ran in Docker"),
    "berth/engines/docker/images.py": ("write", "it remembers in `.berth` what images were built from"),
    "berth/engines/embedded/control.py": ("signal write", "it clears away what an earlier start has left"),
    "berth/engines/embedded/engine.py": ("write", "`down` takes away what was printed, as with containers"),
    "berth/engines/embedded/files.py": ("write", "it writes what the processes read"),
    "berth/engines/embedded/install.py": ("write", "it installs what the services run on"),
    "berth/engines/embedded/leftovers.py": ("signal", "it ends what a killed supervisor has left"),
    "berth/engines/embedded/messages.py": ("network", "it asks a broker how many messages it has in memory only"),
    "berth/engines/embedded/state.py": ("write", "it makes the folder of all this, and locks it"),
    "berth/engines/embedded/supervisor.py": ("network", "it asks the supervisor on its socket"),
    "berth/tasks/queue_definition.py": ("write", "it writes the queues into the broker's configuration"),
    "berth/init/writing.py": ("write", "it puts new files into a project, all or none, and takes them away again"),
    "berth/tasks/asking.py": ("network", "it asks the site of `prod.up` as its users do"),
    "berth/tasks/checks.py": ("write", "it makes the folder of reports, or the engine would, as root"),
    "berth/tasks/release.py": ("write", "it makes the folder of the lists of packages"),
}


def reached(tree: ast.AST) -> set[str]:
    """Return the kinds of `EFFECTS` that a module can have, by the names that it imports, calls and reads."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else "_"
            names.add(f"{owner}.{node.attr}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            mode = node.args[1].value if len(node.args) > 1 and isinstance(node.args[1], ast.Constant) else "r"
            names |= {"os.open"} if set(str(mode)) & set("wax+") else set()
    # A type is no effect.
    names -= {"subprocess.CompletedProcess", "signal.Signals"}
    return {kind for kind, pattern in EFFECTS.items() if any(re.match(pattern, found) for found in names)}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import subprocess", {"process"}),
        ("from subprocess import run", {"process"}),
        ("from subprocess import CompletedProcess", set()),
        ("import os\nos.execv('ls', [])", {"process"}),
        ("def f(c):\n c.run('ls')", {"process"}),
        ("from http import client", {"network"}),
        ("import os\nos.kill(1, 9)", {"signal"}),
        ("child.send_signal(9)", {"signal"}),
        ("self.path.write_text('')", {"write"}),
        ("Path('a').mkdir()", {"write"}),
        ("open('a', 'ab')", {"write"}),
        ("open('a')", set()),
        ("import os\nos.getuid()\nos.environ", set()),
        ("import shutil\nshutil.which('a')", set()),
        ("import shutil\nshutil.rmtree('a')", {"write"}),
    ],
)
def test_effects_are_recognised(code: str, found: set[str]) -> None:
    assert reached(ast.parse(code)) == found


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_reaches_no_more_than_its_reason_says(path: Path) -> None:
    """What is not needed any more is not allowed any more, either."""
    allowed, _ = ALLOWED.get(name(path), ("", ""))
    assert reached(ast.parse(path.read_text())) == set(allowed.split())


# --- Who imports whom --------------------------------------------------------


def imported(path: Path) -> set[str]:
    """Return the full names of what a file imports, `a.b` for `import a.b` and `from a import b`; types alone do not
    count."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


GRAPH = {module(path): imported(path) & {module(other) for other in MODULES} - {module(path)} for path in MODULES}


def importers(wanted: str) -> set[str]:
    return {importer for importer, wants in GRAPH.items() if wanted in wants}


def test_imports_run_in_no_circle() -> None:
    graph = {
        importer: {wanted for wanted in wants if not is_above(wanted, importer)} for importer, wants in GRAPH.items()
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def is_above(package: str, of: str) -> bool:
    """Tell whether ``of`` lies in that package, whose `__init__` is loaded before it anyway."""
    return of.startswith(f"{package}.")


LAYERS = ["berth.compose", "berth.env", "berth.engines", "berth.deploy", "berth.tasks"]


@pytest.mark.parametrize("layer", LAYERS[:-1])
def test_a_layer_knows_none_above_it(layer: str) -> None:
    above = tuple(LAYERS[LAYERS.index(layer) + 1 :])
    own = {
        importer: wants for importer, wants in GRAPH.items() if importer == layer or importer.startswith(f"{layer}.")
    }
    found = {(importer, wanted) for importer, wants in own.items() for wanted in wants if wanted.startswith(above)}
    assert found == set()


@pytest.mark.parametrize("path", sorted((ROOT / "berth").glob("*.py")), ids=name)
def test_what_lies_in_the_hall_is_of_use_to_several(path: Path) -> None:
    """A module that one other imports belongs beside that one. Doors and what users import stand open to the street."""
    doors = {"berth", "berth.__main__", "berth.start", "berth.cli", "berth.plain_invoke", "berth.sessions"}
    if module(path) not in doors:
        assert len(importers(module(path))) > 1


@pytest.mark.parametrize("path", [*MODULES, ROOT / "tasks.py"], ids=name)
def test_nobody_gets_lost_in_a_file(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 50] == []


# --- Who names what ----------------------------------------------------------


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


def test_only_lines_of_compose_are_written_in_one_place() -> None:
    writing = {
        name(path)
        for path in MODULES
        for words in words_of_lists(ast.parse(path.read_text()))
        if words[:2] == ["docker", "compose"]
    }
    assert writing == {"berth/compose/lines.py"}


@pytest.mark.parametrize("path", TASK_MODULES, ids=name)
def test_tasks_of_other_modules_are_not_imported_by_name(path: Path) -> None:
    """They would be listed a second time, below this module."""
    found = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("berth.tasks.")
        for alias in node.names
        if isinstance(getattr(importlib.import_module(str(node.module)), alias.name), Task)
    ]
    assert found == []


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
    helps = {argument.name: argument.help or "" for argument in copy.deepcopy(TASKS[task]).get_arguments()}
    assert [option for option, text in helps.items() if not re.fullmatch(r"[A-Z].*\.", text)] == []


def test_tasks_py_is_three_lines() -> None:
    kinds = [type(statement) for statement in ast.parse((ROOT / "tasks.py").read_text()).body]
    assert kinds == [ast.Expr, ast.ImportFrom, ast.Assign]


@pytest.mark.parametrize("task", TASKS)
def test_what_a_task_refuses_ends_in_one_line(task: str) -> None:
    assert isinstance(TASKS[task], BerthTask)


@pytest.mark.parametrize("path", sorted((ROOT / "app").rglob("*.py")), ids=name)
def test_django_project_knows_nothing_of_berth(path: Path) -> None:
    roots = {found.partition(".")[0] for found in imported(path)}
    assert roots.isdisjoint({"berth", "tasks", "noxfile", "invoke", "nox"})


def example_names() -> set[str]:
    """Return the names of the example: its services, and its Django packages."""
    compose = (ROOT / "docker" / "docker-compose.yml").read_text()
    services = set(
        re.findall(r"^  ([a-z-]+):$", compose.partition("\nservices:\n")[2].partition("\nvolumes:")[0], re.M)
    )
    return services | {path.parent.name for path in (ROOT / "app").glob("*/__init__.py")}


def test_names_of_the_example_are_known() -> None:
    assert {"db", "broker", "app", "worker-default", "migrate", "users", "status"} <= example_names()


@pytest.mark.parametrize(
    "path",
    # `init` names what it writes itself.
    [path for path in MODULES if not name(path).startswith(("berth/init/", "berth/tasks/verification.py"))],
    ids=name,
)
def test_berth_names_nothing_of_the_example(path: Path) -> None:
    """It drives any Django project: services are found by their label, all else stands in .env."""
    tree = ast.parse(path.read_text())
    own = {"docker", "status", "queues"}  # words of Docker, git and Celery, too
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
