"""Find the background work of a project: Celery, its broker and its schedule, queues of other kinds, own commands."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from berth.inspect.compose_file import Service
from berth.inspect.locked import Packages
from berth.inspect.model import Alternative, Certainty, Fact, Place, Value
from berth.inspect.procfile import Process
from berth.inspect.python_source import Sources, calls, dotted, module_name
from berth.inspect.tree import is_test, parent

LISTENS = re.compile(r"celery\b.*?\s(?:-Q|--queues)[ =](?P<names>[\w,.:-]+)")
APP = re.compile(r"celery\s+(?:[\w-]+\s+)*?(?:-A|--app)[ =]?(?P<name>[\w.:-]+)")
WORKER = re.compile(
    r"\b(celery|rqworker|rqscheduler|qcluster|run_huey|rundramatiq|db_worker|procrastinate|rq worker)\b"
)


@dataclass(frozen=True)
class CeleryApp:
    """A Celery application.

    :param file: where it is made.
    :param module: that file as -A takes it.
    :param node: the call that makes it.
    """

    file: str
    module: str
    node: ast.Call


def find_celery(
    sources: Sources, roots: Sequence[str], packages: Packages, commands: Sequence[Process]
) -> list[CeleryApp]:
    """Return the Celery applications; the one that the project's own commands name first, then those of the folder of
    manage.py."""
    files = [file for file in sources.tree.below("", "*.py") if not is_test(file)]
    found = []
    for file in sources.tree.holding(files, "Celery("):
        root = max((root for root in roots if not root or file.startswith(f"{root}/")), key=len, default=None)
        for call in calls(sources.parse(file)):
            if dotted(call.func).rpartition(".")[2] == "Celery" and _is_outermost(sources, file, call):
                found.append(CeleryApp(file, module_name(file, root if root is not None else ""), call))
                break
    named = [match["name"].partition(":")[0] for command in commands for match in APP.finditer(command.command)]

    def rank(app: CeleryApp) -> tuple[bool, bool, bool, bool, bool, int]:
        of_command = any(app.module == name or app.module.startswith(f"{name}.") for name in named)
        in_roots = any(not root or app.file.startswith(f"{root}/") for root in roots)
        configured = "config_from_object" in sources.tree.text(app.file)
        is_package = f"{parent(app.file)}/__init__.py".lstrip("/") in sources.tree
        is_django = "django" in sources.tree.text(app.file).lower()
        return not in_roots, not is_django, not of_command, not configured, not is_package, app.file.count("/")

    return sorted(found, key=rank)


def _is_outermost(sources: Sources, file: str, call: ast.Call) -> bool:
    """Tell whether a call is Celery's class, not a local class of that name."""
    tree = sources.parse(file)
    return not any(isinstance(node, ast.ClassDef) and node.name == "Celery" for node in tree.body) or bool(call.args)


def celery_facts(
    apps: list[CeleryApp], packages: Packages, sources: Sources, commands: Sequence[Process]
) -> list[Fact]:
    """Return the facts `celery`, with its application, and `celery.beat`."""
    if not apps:
        if "celery" not in packages:
            return [Fact("celery", None, Place(""), "certain", (), "no Celery application, and no such package")]
        if any(APP.search(command.command) for command in commands):
            command = next(command for command in commands if APP.search(command.command))
            match = APP.search(command.command)
            app = match["name"] if match else ""
            return [
                Fact("celery", {"application": app}, command.place, "guess", (), "a command names it, no file makes it")
            ]
        place = packages["celery"].place
        return [Fact("celery", None, place, "likely", (), "the package is there, but no file makes an application")]
    main = apps[0]
    if packages and not any("celery" in " ".join((name, *each.extras)) for name, each in packages.items()):
        why = "an application is made there, but no list of packages names Celery"
        return [Fact("celery", None, Place(main.file, main.node.lineno), "likely", (), why)]
    value: dict[str, Value] = {"application": _as_argument(main, commands), "file": main.file}
    listened = [
        name for each in commands for match in LISTENS.finditer(each.command) for name in match["names"].split(",")
    ]
    if listened:
        value["queues"] = list(dict.fromkeys(listened))
    alternatives = tuple(Alternative(app.module, Place(app.file, app.node.lineno)) for app in apps[1:])
    same = [app for app in apps[1:] if parent(app.file) == parent(main.file) or not _is_elsewhere(main, app)]
    certainty: Certainty = "likely" if same else "certain"
    why = "several applications: the project's commands and settings decided" if alternatives else ""
    facts = [Fact("celery", value, Place(main.file, main.node.lineno), certainty, alternatives, why)]
    return [*facts, *_beat(main, packages, sources, commands)]


def _is_elsewhere(main: CeleryApp, other: CeleryApp) -> bool:
    return other.file.partition("/")[0] != main.file.partition("/")[0]


def _as_argument(app: CeleryApp, commands: Sequence[Process]) -> str:
    """Return what -A takes: what their commands give it, else the module; Celery finds `proj.celery` from `proj`."""
    for command in commands:
        for match in APP.finditer(command.command):
            module = match["name"].partition(":")[0]
            if app.module == module or app.module.startswith(f"{module}."):
                return match["name"]
    return app.module.removesuffix(".celery")


def _beat(app: CeleryApp, packages: Packages, sources: Sources, commands: Sequence[Process]) -> Iterator[Fact]:
    for command in commands:
        if re.search(r"\bcelery\b.*\bbeat\b|celerybeat|celery-beat|\s-B\b.*celery|celery.*\s-B\b", command.command):
            yield Fact("celery.beat", command.command, command.place, "certain", (), f"the process {command.name}")
            return
    if "django-celery-beat" in packages:
        place = packages["django-celery-beat"].place
        yield Fact("celery.beat", "django_celery_beat.schedulers:DatabaseScheduler", place, "likely")
        return
    files = [file for file in sources.tree.below("", "*.py") if not is_test(file)]
    words = ("beat_schedule", "CELERYBEAT_SCHEDULE", "CELERY_BEAT_SCHEDULE", "add_periodic_task", "CELERY_SCHEDULE")
    for file in sources.tree.holding(files, *words):
        text = sources.tree.text(file)
        offset = min(position for word in words if (position := text.find(word)) >= 0)
        yield Fact("celery.beat", file, Place(file, text.count("\n", 0, offset) + 1), "likely", (), "a schedule is set")
        return


def is_worker(command: str) -> bool:
    """Tell whether a command runs on and on without being a web server."""
    return bool(WORKER.search(command))


def from_services(services: Sequence[Service]) -> Iterator[Process]:
    """Give the commands of compose services that run the project's code."""
    for service in services:
        for command, place in service.commands:
            if re.search(r"python|celery|manage\.py|gunicorn|uvicorn|daphne|\.py\b|rq|uwsgi|\.sh\b|honcho", command):
                yield Process(service.name, command, place, is_worker(command))
