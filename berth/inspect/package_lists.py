"""Read every list of packages in a folder: locks, requirements files, what pyproject.toml or setup.cfg declare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass, field

from berth.inspect import locked, toml_file
from berth.inspect.model import Place, Value
from berth.inspect.tree import Tree

LOCKS = {"uv": "uv.lock", "poetry": "poetry.lock", "pdm": "pdm.lock", "pipenv": "Pipfile.lock"}
DEVELOPMENT = re.compile(r"dev|test|lint|docs?\b|local|ci\b|ci-|mlval|playwright|debug")

SERVING = (
    "gunicorn", "uvicorn", "uvicorn-worker", "psycopg", "psycopg2", "psycopg2-binary", "psycopg-binary", "psycopg-c",
)  # fmt: skip
"""Packages of which it matters whether they are installed, or only locked."""


@dataclass(frozen=True)
class Way:
    """One way in which the packages could be installed.

    :param kind: uv, poetry, pdm, pipenv, requirements, or pyproject for one without a lock.
    :param files: what says it, the file that matters most first.
    :param details: what else is to be known: groups, hashes, the chain of files.
    """

    kind: str
    files: tuple[str, ...]
    packages: locked.Packages
    details: dict[str, Value] = field(default_factory=dict)


def ways(tree: Tree, home: str) -> Iterator[Way]:
    """Give the ways that the files right in a folder, or in its folder requirements, speak of."""
    project = f"{home}/pyproject.toml".lstrip("/")
    content = toml_file.load(tree, project) if project in tree else {}
    for kind in ("uv", "poetry", "pdm"):
        lock = f"{home}/{LOCKS[kind]}".lstrip("/")
        if lock in tree:
            yield _lock(tree, kind, lock, project if project in tree else None, content)
    pipfile = f"{home}/Pipfile".lstrip("/")
    if pipfile in tree:
        yield _pipenv(tree, pipfile)
    yield from _requirements_files(tree, home)
    if declared := _declared(tree, home, project, content):
        yield declared


def _lock(tree: Tree, kind: str, lock: str, project: str | None, content: dict[str, object]) -> Way:
    packages = locked.Packages()
    for package in locked.of_tables(tree, lock):
        packages.add(package)
    if project:
        for package in _direct(tree, project, content):
            known = packages.get(package.name)
            if known and package.extras:
                packages[known.name] = locked.Package(
                    known.name, known.version, known.place, known.specifier, package.extras
                )
            packages.add(package)
    details: dict[str, Value] = {"groups": _groups(content), "extras": _extras(content), "locked": True}
    if apart := _apart(tree, project or lock, content):
        details["apart"] = apart
    if re.search(r'source = \{ (?:editable|virtual) = "\."', tree.text(lock)):
        details["installs_tree"] = 'editable = "."' in tree.text(lock)
    return Way(kind, (lock, *([project] if project else [])), packages, details)


def _groups(content: dict[str, object]) -> list[str]:
    tables = (
        toml_file.table(content, "dependency-groups"),
        toml_file.table(content, "tool", "poetry", "group"),
        toml_file.table(content, "tool", "pdm", "dev-dependencies"),
    )
    return list(dict.fromkeys(name for each in tables for name in each))


def _extras(content: dict[str, object]) -> list[str]:
    tables = (
        toml_file.table(content, "project", "optional-dependencies"),
        toml_file.table(content, "tool", "poetry", "extras"),
    )
    return list(dict.fromkeys(name for each in tables for name in each))


def _apart(tree: Tree, project: str, content: dict[str, object]) -> dict[str, Value]:
    """Return the groups and extras that ask for a package which matters, where nothing else does."""
    main = {package.name for package in _direct(tree, project, content)}
    found: dict[str, list[Value]] = {}
    for name, packages in _optional(tree, project, content):
        for package in packages:
            if package.name in SERVING and package.name not in main:
                found.setdefault(package.name, []).append(name)
    return dict(found)


def _optional(tree: Tree, project: str, content: dict[str, object]) -> Iterator[tuple[str, list[locked.Package]]]:
    """Give each group and extra, with what it asks for."""
    for path in (("dependency-groups",), ("project", "optional-dependencies"), ("tool", "poetry", "extras")):
        table = toml_file.table(content, *path)
        for name in table:
            yield name, list(locked.of_lines(tree, project, toml_file.items(table, name)))
    for name in toml_file.table(content, "tool", "poetry", "group"):
        table = toml_file.table(content, "tool", "poetry", "group", name, "dependencies")
        yield name, list(locked.of_poetry(tree, project, table))


def _direct(tree: Tree, project: str, content: dict[str, object]) -> Iterator[locked.Package]:
    yield from locked.of_lines(tree, project, toml_file.items(content, "project", "dependencies"))
    yield from locked.of_poetry(tree, project, toml_file.table(content, "tool", "poetry", "dependencies"))
    if not toml_file.table(content, "project") and not toml_file.table(content, "tool", "poetry"):
        groups = toml_file.table(content, "dependency-groups")
        for name in groups:
            if not DEVELOPMENT.search(name):
                yield from locked.of_lines(tree, project, toml_file.items(groups, name))


def _pipenv(tree: Tree, pipfile: str) -> Way:
    packages = locked.Packages()
    lock = f"{pipfile}.lock"
    if lock in tree:
        for package in locked.of_pipfile_lock(tree, lock):
            packages.add(package)
    for package in locked.of_poetry(tree, pipfile, toml_file.table(toml_file.load(tree, pipfile), "packages")):
        packages.add(package)
    return Way("pipenv", (lock, pipfile) if lock in tree else (pipfile,), packages, {"locked": lock in tree})


def _requirements_files(tree: Tree, home: str) -> Iterator[Way]:
    folders = [home, *(f"{home}/{name}".lstrip("/") for name in ("requirements", "reqs", "deps"))]
    for folder in folders:
        patterns = ("*require*.txt", "req.txt", "reqs.txt") if folder == home else ("*.txt",)
        for file in tree.beside(folder, *patterns):
            read = locked.requirements_file(tree, file)
            packages = locked.Packages()
            for package in read.packages:
                packages.add(package)
            details: dict[str, Value] = {
                "hashed": read.hashed,
                "locked": read.pinned,
                "installs_tree": read.installs_tree,
                "chain": list(read.chain),
            }
            if read.packages or read.installs_tree:
                yield Way("requirements", (file,), packages, details)


def _declared(tree: Tree, home: str, project: str, content: dict[str, object]) -> Way | None:
    """Return what pyproject.toml or setup.cfg asks for without locking it."""
    packages = locked.Packages()
    files: list[str] = []
    for package in _direct(tree, project, content) if content else ():
        packages.add(package)
        files = [project]
    config = f"{home}/setup.cfg".lstrip("/")
    if not files and config in tree:
        parser = ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(tree.text(config))
        except ConfigError as error:
            tree.problems[Place(config)] = f"cannot be parsed: {str(error).splitlines()[0]}"
        lines = parser.get("options", "install_requires", fallback="").splitlines()
        for package in locked.of_lines(tree, config, [line for line in lines if line and not line.startswith("#")]):
            packages.add(package)
            files = [config]
    if not files:
        return None
    details: dict[str, Value] = {
        "groups": _groups(content),
        "extras": _extras(content),
        "locked": all(each.version for each in packages.values()),
        **({"apart": apart} if (apart := _apart(tree, project, content)) else {}),
    }
    details["installs_tree"] = bool(toml_file.table(content, "build-system")) or files == [config]
    return Way("pyproject", tuple(files), packages, details)
