"""Find paths that a health check may ask for: those of their own checks, then those of their URLs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from berth.inspect import dockerfile
from berth.inspect.compose_file import Service
from berth.inspect.model import Alternative, Fact, Place
from berth.inspect.python_source import Sources, calls, dotted, literal
from berth.inspect.tree import is_test, line_of

ROUTE = re.compile(
    r"^\^?/?(?P<path>(?:[\w-]+/){0,3}_*(?:health[\w-]*|ping|status|alive|ready|readiness|liveness|livez|readyz"
    r"|heartbeat|lbheartbeat|up|pingdom)(?:[/.][\w.-]*)*)/?\$?$"
)
URL = re.compile(
    r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]|\$?\{?\w+\}?)(?::\$?\{?\w+\}?)?(?P<path>/[\w./?=&-]*)"
)
HINT = re.compile(r"health|ping|status|alive|ready|live|heartbeat|/up")
PROBE = re.compile(r"^\s*path:\s*[\"']?(?P<path>/[\w./-]*)", re.M)


def find(sources: Sources, folder: str, services: Sequence[Service]) -> list[Fact]:
    """Return the fact `probe`: the path that is most probably right, the others as alternatives.

    :param folder: that of manage.py.
    """
    found: dict[str, tuple[Place, str]] = {}
    checks = [*_of_dockerfiles(sources), *_of_services(services), *_of_kubernetes(sources)]
    for path, place in sorted(checks, key=lambda check: not ROUTE.match(check[0].partition("?")[0])):
        found.setdefault(path, (place, "a health check of theirs asks for it"))
    for path, place in _of_urls(sources, folder):
        found.setdefault(path, (place, "a route of that name"))
    if not found:
        return []
    (path, (place, why)), *others = found.items()
    rest = tuple(Alternative(each, at, reason) for each, (at, reason) in others[:8])
    return [Fact("probe", path, place, "likely" if why.startswith("a health") else "guess", rest, why)]


def _paths(text: str) -> Iterator[str]:
    for match in URL.finditer(text):
        if match["path"] != "/":
            yield match["path"]


def _of_dockerfiles(sources: Sources) -> Iterator[tuple[str, Place]]:
    for file, instructions in dockerfile.by_file(sources.tree).items():
        if is_test(file) or dockerfile.SIDE.search(file):
            continue
        for each in instructions:
            if each.word == "HEALTHCHECK":
                for path in _paths(each.value):
                    yield path, each.place


def _of_services(services: Sequence[Service]) -> Iterator[tuple[str, Place]]:
    for service in services:
        if service.builds or not service.image or re.search(r":dev\b|:local\b", service.image):
            for command, place in service.commands:
                if re.search(r"curl|wget|http", command):
                    for path in _paths(command):
                        yield path, place


def _of_kubernetes(sources: Sources) -> Iterator[tuple[str, Place]]:
    tree = sources.tree
    files = [
        file for file in tree.named("*.yml", "*.yaml", "*.tpl") if not file.startswith(".github") and not is_test(file)
    ]
    for file in tree.holding(files, "livenessProbe", "readinessProbe", "healthCheckPath", "httpGet"):
        text = tree.text(file)
        for match in PROBE.finditer(text):
            yield match["path"], Place(file, line_of(text, match.start()))


def _of_urls(sources: Sources, folder: str) -> Iterator[tuple[str, Place]]:
    tree = sources.tree
    files = [
        file
        for file in tree.below(folder, "urls.py", "*urls*.py", "__init__.py")
        if "url" in file and not is_test(file)
    ]
    for file in sorted(files, key=lambda file: file.count("/")):
        if not HINT.search(tree.text(file)):
            continue
        for call in calls(sources.parse(file)):
            if dotted(call.func).rpartition(".")[2] in {"path", "re_path", "url"} and call.args:
                route = literal(call.args[0])
                match = ROUTE.match(route) if route else None
                if match and not _includes(call):
                    ending = "/" if route and route.rstrip("$").endswith("/") else ""
                    yield f"/{match['path'].strip('/')}{ending}", Place(file, call.lineno)


def _includes(call: ast.Call) -> bool:
    second = call.args[1] if len(call.args) > 1 else None
    if isinstance(second, ast.Call) and dotted(second.func) == "include":
        return "health_check" not in ast.dump(second)
    return False
