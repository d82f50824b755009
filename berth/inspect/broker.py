"""Find which broker Celery uses: the settings say it, else samples, compose images and packages do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from berth.inspect.compose_file import Service
from berth.inspect.evaluation import Evaluator, Known
from berth.inspect.locked import Packages
from berth.inspect.model import Alternative, Certainty, Fact, Place, Value
from berth.inspect.python_source import Sources, dotted, keyword, literal
from berth.inspect.samples import Samples
from berth.inspect.scope import CAUGHT, Scope, Scopes
from berth.inspect.workers import CeleryApp

ARGUMENT = re.compile(r"broker(_url)?$")
SETTINGS = ("CELERY_BROKER_URL", "CELERY_BROKER", "BROKER_URL", "CELERY_BROKER_WRITE_URL")
KINDS = (
    ("redis", re.compile(r"^(redis|rediss|sentinel|valkey)(\+\w+)?$")),
    ("rabbitmq", re.compile(r"^(amqps?|pyamqp|librabbitmq|rabbitmq)$")),
    ("sqs", re.compile(r"^sqs$")),
    ("memory", re.compile(r"^memory$")),
    ("database", re.compile(r"^(sqla|django|sqlalchemy)(\+\w+)?$")),
    ("filesystem", re.compile(r"^filesystem$")),
)
NAMES = (
    ("rabbitmq", re.compile(r"RABBIT|AMQP")),
    ("redis", re.compile(r"REDIS|VALKEY")),
    ("sqs", re.compile(r"SQS")),
)
IMAGES = (
    ("redis", re.compile(r"(^|/)(redis|valkey|keydb|dragonfly)\b")),
    ("rabbitmq", re.compile(r"rabbitmq|(^|/)rabbit\b")),
    ("sqs", re.compile(r"elastic-?mq|localstack")),
)


@dataclass(frozen=True)
class Found:
    """One sign of a broker.

    :param strength: 0 for the settings' own word, more for weaker signs.
    """

    kind: str
    place: Place
    strength: int
    variables: tuple[str, ...] = ()
    why: str = ""


def kind(url: str | None) -> str | None:
    """Return the sort of broker of a URL, or None."""
    scheme, separator, _ = (url or "").partition("://")
    if not separator:
        return None
    return next((name for name, pattern in KINDS if pattern.match(scheme.strip().lower())), None)


def find(
    app: CeleryApp, scopes: Scopes, settings: Scope | None, samples: Samples, services: Sequence[Service],
    packages: Packages,
) -> list[Fact]:  # fmt: skip
    """Return the fact `celery.broker` of a Celery application."""
    evaluator = Evaluator(scopes, settings)
    urls = list(_urls(app, scopes, settings, evaluator))
    variables = tuple(dict.fromkeys(name for known, _ in urls for name in known.variables))
    signs = sorted(_signs(urls, samples, services, packages), key=lambda sign: sign.strength)
    value: dict[str, Value] = {"variables": list(variables)}
    if not signs:
        place = urls[0][1] if urls else Place(app.file, app.node.lineno)
        value["kind"] = None if urls else "rabbitmq"
        why = "nothing says which kind" if urls else "no broker is set: Celery would take amqp on localhost"
        return [Fact("celery.broker", value, place, "guess", (), why)]
    best = signs[0]
    value["kind"] = best.kind
    rivals: dict[str, Alternative] = {}
    for sign in signs[1:]:
        if sign.kind != best.kind:
            rivals.setdefault(sign.kind, Alternative(sign.kind, sign.place, sign.why))
    strong = [sign for sign in signs if sign.kind != best.kind and sign.strength <= best.strength + 1]
    certainty: Certainty = (
        "certain" if best.strength == 0 and not strong else "likely" if best.strength <= 2 else "guess"
    )
    if strong and best.strength > 1:
        certainty = "guess"
    return [Fact("celery.broker", value, best.place, certainty, tuple(rivals.values()), best.why)]


def _signs(
    urls: list[tuple[Known, Place]], samples: Samples, services: Sequence[Service], packages: Packages
) -> Iterator[Found]:
    for known, place in urls:
        if found := kind(known.text):
            why = f"when: {' and '.join(known.conditions)}" if known.conditions else ""
            # A database as broker is a default for trying; whoever deploys sets another.
            weak = found in {"database", "memory", "filesystem"} and bool(known.variables)
            weak = weak or CAUGHT in known.conditions
            yield Found(found, place, 3 if weak else 0, known.variables, why)
        for name in known.variables:
            if hinted := next((kind for kind, pattern in NAMES if pattern.search(name)), None):
                yield Found(hinted, place, 3, (name,), f"the name of {name} says so")
            for sample in samples.of(name):
                value = sample.value if "://" in sample.value else f"{sample.value}://"
                usable = "://" in sample.value or name.upper().endswith(("SCHEME", "TRANSPORT"))
                if sample.kind != "ci" and usable and (found := kind(value)):
                    yield Found(found, sample.place, 1, (name,), f"{sample.place} gives {name} such a value")
    for service in services:
        words = service.image or service.name
        if found := next((name for name, pattern in IMAGES if pattern.search(words)), None):
            yield Found(found, service.place, 2, (), f"the service {service.name} is one")
    for name in ("celery", "kombu"):
        package = packages.get(name)
        for extra in package.extras if package else ():
            if extra in {"redis", "sqs"} and package:
                yield Found(extra, package.place, 4, (), f"the extra {extra} of {name} is installed")


def _urls(
    app: CeleryApp, scopes: Scopes, settings: Scope | None, evaluator: Evaluator
) -> Iterator[tuple[Known, Place]]:
    """Give what the broker's URL may be, the application's own word before that of the settings."""
    own = scopes.load(app.file, functions=True)
    given = next((each.value for each in app.node.keywords if ARGUMENT.match(each.arg or "")), None)
    if given is not None:
        for known in evaluator.possible(given, own):
            yield known, Place(app.file, given.lineno)
    for assignment in own.assignments:
        if assignment.name.endswith(("conf.broker_url", "conf.BROKER_URL")):
            for known in evaluator.possible(assignment.node, own):
                yield known, assignment.place
    for scope in (settings, *_configs(app, scopes)):
        for name in _names(scope, app, scopes.sources) if scope is not None else ():
            for assignment in scope.live(name) if scope is not None else ():
                conditions = [text for guard in assignment.guards if (text := guard.text())]
                for known in evaluator.possible(assignment.node, assignment.scope):
                    when = tuple(dict.fromkeys([*conditions, *known.conditions]))
                    yield Known(known.value, known.variables, when), assignment.place


def _names(scope: Scope, app: CeleryApp, sources: Sources) -> list[str]:
    """Return the settings that may hold the URL, those with the namespace of the application, too."""
    names = list(SETTINGS)
    for node in ast.walk(sources.parse(app.file)):
        if isinstance(node, ast.Call) and dotted(node.func).endswith("config_from_object"):
            space = keyword(node, "namespace")
            if isinstance(space, ast.Constant) and isinstance(space.value, str):
                names.insert(0, f"{space.value}_BROKER_URL")
    return [name for name in dict.fromkeys([*names, "broker_url"]) if scope.of(name)]


def _configs(app: CeleryApp, scopes: Scopes) -> Iterator[Scope]:
    """Give the modules besides the settings that the application takes its configuration from."""
    for node in ast.walk(scopes.sources.parse(app.file)):
        if isinstance(node, ast.Call) and dotted(node.func).endswith("environ.setdefault") and len(node.args) == 2:
            # The application may be set up with settings of its own.
            name = literal(node.args[1])
            file = scopes.sources.find(name, scopes.roots) if name else None
            if file:
                yield scopes.load(file)
        if isinstance(node, ast.Call) and dotted(node.func).endswith("config_from_object") and node.args:
            argument = node.args[0]
            module = argument.value if isinstance(argument, ast.Constant) else None
            if isinstance(module, str) and not module.startswith("django.conf"):
                file = scopes.sources.find(module.partition(":")[0], scopes.roots)
                if file:
                    yield scopes.load(file)
