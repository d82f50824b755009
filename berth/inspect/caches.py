"""Find what a project keeps outside of its database: caches, channel layers; and how it serves ASGI."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from berth.inspect.broker import kind as url_kind
from berth.inspect.evaluation import Evaluator
from berth.inspect.locked import Packages
from berth.inspect.model import Alternative, Certainty, Fact, Place, Value
from berth.inspect.procfile import Process
from berth.inspect.samples import Samples
from berth.inspect.scope import Assignment, Scope

BACKENDS = (
    ("redis", re.compile(r"redis|valkey", re.I)),
    ("memcached", re.compile(r"(?<!loc)memcache|pylibmc", re.I)),
    ("database", re.compile(r"\.db\.|DatabaseCache")),
    ("file", re.compile(r"filebased")),
    ("memory", re.compile(r"locmem|InMemory|LocMem")),
    ("dummy", re.compile(r"dummy", re.I)),
    ("rabbitmq", re.compile(r"rabbitmq", re.I)),
)
LOCAL = re.compile(r"^(\w+://([^@/]*@)?)?(localhost|127\.0\.0\.1)(:\d+)?(/|$)")
"""A server on this machine: where Redis is looked for, and no variable leads elsewhere."""
SERVERS = ("daphne", "uvicorn", "hypercorn", "granian", "gunicorn", "uwsgi", "waitress")


def find(settings: Scope, evaluator: Evaluator, samples: Samples) -> list[Fact]:
    """Return the facts `caches` and `channels`, where the settings configure them."""
    facts = []
    for name, setting in (("caches", "CACHES"), ("channels", "CHANNEL_LAYERS")):
        described = [_described(each, evaluator, samples) for each in settings.live(setting)]
        described += [_described(each, evaluator, samples) for each in settings.of(setting) if each.path]
        found = [(value, place, why) for value, place, why in described if value["kinds"] or value["variables"]]
        if not found:
            if settings.live(setting):
                place = settings.live(setting)[0].place
                facts.append(Fact(name, None, place, "guess", (), f"{setting} is set, but not to be read"))
            continue
        found.sort(key=lambda each: {"redis", "memcached"}.isdisjoint(_kinds(each[0])))
        value, place, why = found[0]
        others = tuple(Alternative(other, at, reason) for other, at, reason in found[1:] if other != value)
        certainty: Certainty = "likely" if others or why or not value["kinds"] else "certain"
        facts.append(Fact(name, value, place, certainty, others, why))
    return facts


def _kinds(value: dict[str, Value]) -> set[str]:
    kinds = value["kinds"]
    return {str(each) for each in kinds} if isinstance(kinds, list) else set()


def _described(assignment: Assignment, evaluator: Evaluator, samples: Samples) -> tuple[dict[str, Value], Place, str]:
    """Return the kinds of backends in a value of CACHES or CHANNEL_LAYERS, and the variables that drive them."""
    variables = evaluator.variables(assignment.node, assignment.scope)
    kinds: list[str] = []
    texts = list(_texts(assignment, evaluator))
    for text in texts:
        kind = url_kind(text) if "://" in text else None
        kind = kind or next((name for name, pattern in BACKENDS if "://" not in text and pattern.search(text)), None)
        if kind and (kind in {"redis", "rabbitmq"} or "://" not in text) and kind not in kinds:
            kinds.append(kind)
    why = " and ".join(text for guard in assignment.guards if (text := guard.text()))
    if not kinds:
        for name in variables:
            sample = samples.best(name)
            if sample and (kind := url_kind(re.sub(r"^(dj)?cache|^rediscache", "redis", sample.value))):
                kinds, why = [kind], f"{sample.place} gives {name} such a value"
    value: dict[str, Value] = {"kinds": list(kinds), "variables": list(variables)}
    if not variables and "redis" in kinds and any(LOCAL.search(text) for text in texts):
        value["local"] = True
    return value, assignment.place, why


def _texts(assignment: Assignment, evaluator: Evaluator) -> Iterator[str]:
    for node in ast.walk(assignment.node):
        if isinstance(node, (ast.Constant, ast.JoinedStr, ast.Name, ast.Call, ast.Attribute)):
            for known in evaluator.possible(node, assignment.scope):
                if known.text and len(known.text) > 4:
                    yield known.text


def server_facts(packages: Packages, commands: Sequence[Process]) -> list[Fact]:
    """Return the fact `server`: what serves the project in its own files, else what is installed for it."""
    for command in commands:
        words = re.findall(r"\b(daphne|uvicorn|hypercorn|granian|gunicorn|uwsgi|waitress-serve)\b", command.command)
        if words:
            name = words[0].removesuffix("-serve")
            is_asgi = (
                name in {"daphne", "uvicorn", "hypercorn"} or "uvicorn" in command.command or "asgi" in command.command
            )
            value: dict[str, Value] = {"name": name, "interface": "asgi" if is_asgi else "wsgi"}
            value["command"] = command.command
            return [Fact("server", value, command.place, "likely")]
    for name in SERVERS:
        if name in packages:
            is_asgi = name in {"daphne", "uvicorn", "hypercorn"}
            value = {"name": name, "interface": "asgi" if is_asgi else "wsgi"}
            return [
                Fact("server", value, packages[name].place, "guess", (), "the package is there, no command names it")
            ]
    return [Fact("server", None, Place(""), "likely", (), "neither a command nor a package serves it")]
