"""Find what works off the queues that are none of Celery's, and which server keeps them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from berth.inspect.locked import Packages
from berth.inspect.model import Certainty, Fact, Place
from berth.inspect.procfile import Process
from berth.inspect.python_source import Sources
from berth.inspect.scope import Scope
from berth.inspect.tree import is_test

PACKAGES = {
    "huey": "huey", "django-huey": "huey", "django-q2": "django-q2", "django-q": "django-q", "rq": "rq",
    "django-rq": "rq", "dramatiq": "dramatiq", "django-dramatiq": "dramatiq", "procrastinate": "procrastinate",
    "django-tasks": "django-tasks", "taskiq": "taskiq", "arq": "arq",
    "django-background-tasks": "background-tasks", "apscheduler": "apscheduler",
    "django-apscheduler": "apscheduler", "django-crontab": "crontab",
}  # fmt: skip
COMMANDS = {
    "django-q2": "qcluster", "django-q": "qcluster", "rq": "rqworker|rq worker", "huey": "run_huey|huey_consumer",
    "dramatiq": "rundramatiq|dramatiq", "django-tasks": "db_worker",
}  # fmt: skip
WORKERS = {
    "huey.contrib.djhuey": "run_huey", "django_huey": "djangohuey", "django_q": "qcluster", "django_rq": "rqworker",
    "django_dramatiq": "rundramatiq", "procrastinate.contrib.django": "procrastinate worker",
    "django_tasks.backends.database": "db_worker", "django_tasks_db": "db_worker", "background_task": "process_tasks",
}  # fmt: skip
"""The command of manage.py that an app in INSTALLED_APPS brings for its queue."""
SETTINGS = {
    "huey": "HUEY", "rq": "RQ_QUEUES", "dramatiq": "DRAMATIQ_BROKER", "django-q2": "Q_CLUSTER", "django-q": "Q_CLUSTER",
}  # fmt: skip
WITHOUT_SERVER = re.compile(r"(Sqlite|File|Memory|Sql|Postgres)\w*(Huey|Storage)")


def find(sources: Sources, packages: Packages, settings: Scope | None, commands: Sequence[Process]) -> Iterator[Fact]:
    """Give facts `queue.KIND` for queues other than Celery, `queue_server.KIND` for the server that keeps one, and
    `worker.NAME` for commands that run on and on."""
    apps = _installed(settings)
    kinds: list[str] = []
    for package, kind in PACKAGES.items():
        if package not in packages or kind in kinds:
            continue
        kinds.append(kind)
        module = package.replace("-", "_").removesuffix("2")
        used = any(app.partition(".")[0] == module for app in apps) or _imported(sources, module)
        words = COMMANDS.get(kind, kind)
        command = next((each for each in commands if re.search(rf"\b(?:{words})\b", each.command)), None)
        certainty: Certainty = "certain" if used or command else "guess"
        why = "" if certainty == "certain" else "the package is there; no settings, no command and no code name it"
        yield Fact(f"queue.{kind}", package, packages[package].place, certainty, (), why)
        if server := _server(kind, settings):
            yield Fact(f"queue_server.{kind}", server, packages[package].place, certainty)
    named: set[str] = set()
    for command in commands:
        if command.is_worker and command.name not in named:
            named.add(command.name)
            yield Fact(f"worker.{command.name}", command.command, command.place, "likely")
    yield from _of_apps(apps, settings, commands)


def _of_apps(apps: Sequence[str], settings: Scope | None, commands: Sequence[Process]) -> Iterator[Fact]:
    """Give the workers of queues in INSTALLED_APPS that no file of the project starts as such."""
    for app, verb in WORKERS.items():
        if settings is None or not any(each == app or each.startswith(f"{app}.") for each in apps):
            continue
        started = [each for each in commands if re.search(rf"\b{verb}\b", each.command)]
        if any(each.is_worker for each in started):
            continue
        name = verb.partition(" ")[0].replace("_", "-")
        if started:
            yield Fact(f"worker.{name}", started[0].command, started[0].place, "likely")
            continue
        queues = _keys(settings, "RQ_QUEUES") if app == "django_rq" else []
        place = next((each.place for each in settings.assignments if each.name.endswith("APPS")), Place(settings.file))
        why = f"{app} is installed, and no file starts its worker: this is the command that it brings"
        yield Fact(f"worker.{name}", " ".join(["python manage.py", verb, *queues]), place, "likely", (), why)


def _server(kind: str, settings: Scope | None) -> str:
    """Return the kind of server that keeps a queue; "" for one in a file, in memory or in the project's database."""
    said = " ".join(ast.unparse(each.node) for each in settings.of(SETTINGS.get(kind, ""))) if settings else ""
    if kind == "huey":
        return "" if WITHOUT_SERVER.search(said) else "redis"
    if kind == "dramatiq":
        return "rabbitmq" if "rabbit" in said.lower() else "redis"
    if kind in {"django-q", "django-q2"}:
        return "redis" if re.search(r"['\"]redis['\"]", said) else ""
    return "redis" if kind == "rq" else ""


def _keys(settings: Scope, name: str) -> list[str]:
    """Return the keys of a setting that is a dictionary, as far as they are texts."""
    node = next((each.node for each in settings.live(name)), None)
    keys = node.keys if isinstance(node, ast.Dict) else ()
    return [each.value for each in keys if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _imported(sources: Sources, module: str) -> bool:
    files = [file for file in sources.tree.below("", "*.py") if not is_test(file)]
    return bool(sources.tree.holding(files, f"\nfrom {module} import", f"\nfrom {module}.", f"\nimport {module}\n"))


def _installed(settings: Scope | None) -> list[str]:
    """Return the apps of INSTALLED_APPS, as far as they are texts."""
    if settings is None:
        return []
    texts = []
    for assignment in settings.assignments:
        if assignment.name.endswith("APPS"):
            texts += [
                node.value
                for node in ast.walk(assignment.node)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ]
    return texts
