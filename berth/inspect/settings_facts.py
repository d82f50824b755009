"""Read the settings that a deployment has to know of: static files, the user model, what is imported and not there."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from berth.inspect import examples
from berth.inspect.evaluation import UNKNOWN, Evaluator
from berth.inspect.locked import Packages
from berth.inspect.model import Alternative, Certainty, Fact, Place, Value
from berth.inspect.scope import Scope, Scopes
from berth.inspect.tree import is_test

PLAIN = (
    "STATIC_ROOT", "STATIC_URL", "MEDIA_ROOT", "AUTH_USER_MODEL", "WSGI_APPLICATION", "ASGI_APPLICATION",
    "ALLOWED_HOSTS", "DEBUG", "SECURE_SSL_REDIRECT", "SECRET_KEY", "ROOT_URLCONF", "STATICFILES_STORAGE",
)  # fmt: skip
PACKAGES = (
    "django", "gunicorn", "uvicorn", "uvicorn-worker", "daphne", "hypercorn", "uwsgi", "pyuwsgi", "granian",
    "waitress", "celery", "kombu", "django-celery-beat", "django-celery-results", "boto3", "botocore",
    "pycurl", "psycopg", "psycopg2", "psycopg2-binary", "psycopg-binary", "psycopg-c", "mysqlclient",
    "whitenoise", "redis", "valkey", "django-redis", "channels", "channels-redis", "dj-database-url",
    "django-environ", "environs", "python-decouple", "django-storages", "django-compressor", "pgvector",
    "django-configurations", "django-split-settings", "pytest", "pytest-django",
)  # fmt: skip


def find(settings: Scope, evaluator: Evaluator) -> list[Fact]:
    """Return a fact `setting.NAME` for each of the settings above that is assigned."""
    facts = []
    for name in PLAIN:
        live = settings.live(name)
        if not live:
            continue
        possible = [known for each in live for known in evaluator.possible(each.node, each.scope)]
        first = possible[0]
        if name == "SECRET_KEY":
            value: Value = {"variables": list(first.variables)}
        else:
            value = {"value": _plain(first.value), "variables": list(first.variables)}
        others = tuple(
            Alternative(_plain(known.value), live[min(1, len(live) - 1)].place, " and ".join(known.conditions))
            for known in possible[1:]
            if name != "SECRET_KEY"
        )
        certainty: Certainty = "certain" if len(possible) == 1 and not live[0].guards else "likely"
        facts.append(Fact(f"setting.{name}", value, live[0].place, certainty, others))
    return facts


def _plain(value: object) -> Value:
    if value is UNKNOWN:
        return "{}"
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return [_plain(each) for each in value] if isinstance(value, list) else str(value)


def missing_facts(scopes: Scopes, settings: Sequence[Scope]) -> list[Fact]:
    """Return facts on what the settings import with a star and the project does not hold.

    `settings.local` is a module of the project's own, made by hand; `settings.external` one of a package: what it sets
    is not known here.
    """
    facts: dict[str, Fact] = {}
    for scope in settings:
        by_name = examples.read_by_name(scopes.sources.tree, [scope], scopes.sources)
        for name, place in (*scope.missing, *by_name):
            first = name.partition(".")[0]
            own = (
                not first
                or "local" in name
                or any(
                    file.startswith(f"{root}/{first}/".lstrip("/"))
                    for root in scopes.roots
                    for file in scopes.sources.tree.files
                )
            )
            if own or name.endswith(".py"):
                why = "it is imported, and is not there: made by hand on each machine"
                facts.setdefault(name, Fact("settings.local", name, place, "likely", (), why))
            else:
                why = "settings come from a package, and are not read here"
                facts.setdefault(name, Fact("settings.external", name, place, "certain", (), why))
    return list(facts.values())


def package_facts(packages: Packages) -> list[Fact]:
    """Return a fact `package.NAME` with the locked version of each package that decides something."""
    facts = []
    for name in PACKAGES:
        if package := packages.get(name):
            value: dict[str, Value] = {"version": package.version or None}
            if not package.version and package.specifier:
                value["asked"] = package.specifier
            if package.extras:
                value["extras"] = list(package.extras)
            facts.append(Fact(f"package.{name}", value, package.place))
    return facts


def whitenoise_facts(scopes: Scopes, settings: Sequence[Scope], packages: Packages) -> list[Fact]:
    """Return the fact `whitenoise`: whether it serves the static files."""
    for scope in settings:
        for assignment in scope.assignments:
            if assignment.name.isupper():
                for node in ast.walk(assignment.node):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str) and "whitenoise." in node.value:
                        when = " and ".join(text for guard in assignment.guards if (text := guard.text()))
                        place = Place(assignment.place.file, node.lineno)
                        why = f"only when: {when}" if when else ""
                        return [Fact("whitenoise", True, place, "likely" if when else "certain", (), why)]
    tree = scopes.sources.tree
    files = [file for file in tree.named("wsgi.py", "asgi.py", "middleware.py") if not is_test(file)]
    for file in tree.holding(files, "whitenoise", "WhiteNoise"):
        return [Fact("whitenoise", True, Place(file), "likely")]
    if "whitenoise" in packages:
        place = packages["whitenoise"].place
        return [Fact("whitenoise", False, place, "guess", (), "the package is there, no middleware names it")]
    return [Fact("whitenoise", False, Place(settings[0].file if settings else ""), "likely")]
