"""Find the version of PostgreSQL that a project runs on, and the extensions that it needs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from berth.inspect import samples
from berth.inspect.compose_file import Service
from berth.inspect.locked import Packages
from berth.inspect.model import Alternative, Fact, Place
from berth.inspect.python_source import Sources, calls, dotted, keyword, literal
from berth.inspect.scope import Scope
from berth.inspect.tree import is_test, line_of

IMAGE = re.compile(
    r"(?:^|/)(?P<name>[\w.-]*(?:postgres|postgis|pgvector|timescaledb|pgautoupgrade)[\w.-]*):(?P<tag>[\w.-]+)"
)
OPERATIONS = {
    "HStoreExtension": "hstore", "TrigramExtension": "pg_trgm", "UnaccentExtension": "unaccent",
    "CITextExtension": "citext", "BtreeGinExtension": "btree_gin", "BtreeGistExtension": "btree_gist",
    "CryptoExtension": "pgcrypto", "BloomExtension": "bloom", "VectorExtension": "vector",
}  # fmt: skip
SQL = re.compile(r"CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?[\"\\]*(?P<name>[\w-]+)", re.I)


def version_facts(sources: Sources, services: Sequence[Service]) -> list[Fact]:
    """Return the fact `postgres.version`, by the images of their compose files, else of CI; the newest one is taken."""
    found: list[tuple[str, str, Place]] = []
    for service in services:
        if match := IMAGE.search(service.image):
            found.append((_version(match["name"], match["tag"]), service.image, service.place))
    tree = sources.tree
    for file in samples.ci_files(tree):
        text = tree.text(file)
        for match in re.finditer(r"image:\s*[\"']?(?P<image>\S+?)[\"']?\s*$", text, re.M):
            if image := IMAGE.search(match["image"]):
                place = Place(file, line_of(text, match.start()))
                found.append((_version(image["name"], image["tag"]), match["image"], place))
    found = [each for each in found if each[0] and not is_test(each[2].file)]
    if not found:
        return []
    first = found[0]
    others = {version: Alternative(version, place, image) for version, image, place in found if version != first[0]}
    return [
        Fact(
            "postgres.version", first[0], first[2], "likely" if others else "certain", tuple(others.values()), first[1]
        )
    ]


def _version(name: str, tag: str) -> str:
    match = re.match(r"(?:pg)?(\d+)(?:\.\d+)?", tag) or re.search(r"pg(\d+)", tag)
    if "pgvector" in name or "timescale" in name:
        match = re.search(r"pg(\d+)", tag)
    return match[1] if match else ""


def extension_facts(sources: Sources, packages: Packages, settings: Sequence[Scope]) -> list[Fact]:
    """Return a fact `postgres.extension.NAME` for each extension, where its first sign stands."""
    found: dict[str, Fact] = {}
    for name, place in [*_created(sources), *_implied(packages, settings)]:
        found.setdefault(name, Fact(f"postgres.extension.{name}", True, place, "certain"))
    for name, place in _in_sql(sources):
        found.setdefault(
            name, Fact(f"postgres.extension.{name}", True, place, "likely", (), "a script of SQL makes it")
        )
    return list(found.values())


def _created(sources: Sources) -> Iterator[tuple[str, Place]]:
    files = [file for file in sources.tree.below("", "*.py") if "/migrations/" in f"/{file}" and "/tests/" not in file]
    for file in sources.tree.holding(files, "Extension", "EXTENSION"):
        for call in calls(sources.parse(file)):
            last = dotted(call.func).rpartition(".")[2]
            place = Place(file, call.lineno)
            if last in OPERATIONS:
                yield OPERATIONS[last], place
            elif last == "CreateExtension":
                name = literal(call.args[0] if call.args else keyword(call, "name"))
                if name:
                    yield name, place
        text = sources.tree.text(file)
        for match in SQL.finditer(text):
            yield match["name"], Place(file, line_of(text, match.start()))


def _implied(packages: Packages, settings: Sequence[Scope]) -> Iterator[tuple[str, Place]]:
    for scope in settings:
        for assignment in scope.assignments:
            if assignment.name.endswith("APPS") or assignment.name == "DATABASES":
                for node in ast.walk(assignment.node):
                    if not isinstance(node, ast.Constant):
                        continue
                    text = literal(node)
                    if text and text.startswith(("django.contrib.gis", "django.contrib.gis.db.backends.postgis")):
                        yield "postgis", Place(assignment.place.file, node.lineno)
    if "pgvector" in packages:
        yield "vector", packages["pgvector"].place


def _in_sql(sources: Sources) -> Iterator[tuple[str, Place]]:
    tree = sources.tree
    files = [file for file in tree.named("*.sql", "*.sh") if not is_test(file)]
    for file in tree.holding(files, "EXTENSION", "extension"):
        text = tree.text(file)
        for match in SQL.finditer(text):
            yield match["name"].lower(), Place(file, line_of(text, match.start()))
