"""Find out how a project writes down its packages, and with which tool it installs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from berth.inspect import dockerfile, locked, samples
from berth.inspect.model import Alternative, Certainty, Fact, Place, Value
from berth.inspect.package_lists import DEVELOPMENT, LOCKS, Way, ways
from berth.inspect.tree import Tree, is_test, line_of, parent

COMMANDS = {
    "uv": re.compile(r"\buv (?:sync|export|run)\b"),
    "poetry": re.compile(r"\bpoetry (?:install|export|lock)\b|poetry-plugin-export"),
    "pdm": re.compile(r"\bpdm (?:install|sync|export)\b"),
    "pipenv": re.compile(r"\bpipenv (?:install|sync|requirements)\b"),
    "requirements": re.compile(r"(?:-r|--requirements?|pip sync)[ =]?\s*[\"']?(?P<file>[^\s\"']+\.txt)"),
    "pyproject": re.compile(r"pip install (?:\S+ )*?(?:-e |--editable )?[\"']?\.(?:\[[\w,]+\])?[\"']?(?=\s|$|&)"),
}
OTHER_DATABASE = re.compile(r"(^|[/_.-])(mysql|mariadb|oracle|mssql)([/_.-]|$)")
ORDER = ("uv", "poetry", "pdm", "pipenv", "requirements", "pyproject")


@dataclass(frozen=True)
class Requirements:
    """What is known of a project's packages.

    :param folder: where its lock or its pyproject.toml stands.
    """

    way: Way | None
    facts: tuple[Fact, ...]
    folder: str = ""

    @property
    def packages(self) -> locked.Packages:
        return self.way.packages if self.way else locked.Packages()


def find(tree: Tree, folder: str) -> Requirements:
    """Return what is known of the packages.

    :param folder: that of manage.py; it and those above it are looked at.
    """
    found = [way for home in _upwards(folder) for way in ways(tree, home)]
    if not found:
        return Requirements(None, (Fact("requirements", None, Place(""), why="no list of packages was found"),))
    evidence = {kind: _evidence(tree, kind) for kind in ORDER}
    has_lock = any(way.kind in LOCKS for way in found)
    parts = {file for way in found if not DEVELOPMENT.search(way.files[0]) for file in _included(way)}
    ranked = sorted(found, key=lambda way: _rank(way, evidence, folder, has_lock, parts))
    chosen = ranked[0]
    others = [way for way in ranked[1:] if way.kind != chosen.kind or chosen.kind == "requirements"]
    said = _about(evidence, chosen)
    if chosen.kind == "pyproject":
        chosen = _constrained(tree, chosen, said)
    certainty: Certainty = "certain"
    why = f"{said[0]} installs them so" if said else ""
    rivals = [way for way in others if way.kind != "pyproject" and not DEVELOPMENT.search(way.files[0])]
    chain = chosen.details.get("chain")
    rivals = [way for way in rivals if not (isinstance(chain, list) and way.files[0] in chain)]
    if rivals:
        certainty = "likely" if said and not _contradicted(rivals, evidence, said) else "guess"
        why = why or "no Dockerfile and no CI file says which"
    alternatives = tuple(Alternative(_value(way), Place(way.files[0])) for way in others[:6])
    fact = Fact("requirements", _value(chosen), Place(chosen.files[0]), certainty, alternatives, why)
    return Requirements(chosen, (fact,), parent(chosen.files[0]))


def _about(evidence: dict[str, list[_Said]], way: Way) -> list[_Said]:
    """Return the lines that install in that way, of several requirements files just this one."""
    return [place for place in evidence[way.kind] if way.kind != "requirements" or _names(place, way)]


def _contradicted(rivals: list[Way], evidence: dict[str, list[_Said]], said: list[_Said]) -> bool:
    return any(any(place.file == said[0].file for place in _about(evidence, way)) for way in rivals)


def _constrained(tree: Tree, way: Way, said: list[_Said]) -> Way:
    """Return a way without a lock with the versions of the file that `-c` names where it is installed."""
    for place in said:
        line = tree.text(place.file).splitlines()[place.line - 1]
        match = re.search(r"(?:-c|--constraint)[ =]?\s*(\S+\.txt)", line)
        file = f"{parent(way.files[0])}/{match[1]}".lstrip("/") if match else ""
        if file in tree:
            packages = locked.Packages()
            for package in locked.requirements_file(tree, file).packages:
                packages.add(package)
            return Way(way.kind, way.files, packages, {**way.details, "constraints": file, "locked": True})
    return way


def _value(way: Way) -> Value:
    return {"format": way.kind, "files": list(way.files), **way.details}


def _upwards(folder: str) -> Iterator[str]:
    yield folder
    while folder:
        folder = parent(folder)
        yield folder


def _included(way: Way) -> list[str]:
    """Return the files that a requirements file reads besides itself."""
    chain = way.details.get("chain")
    return [str(file) for file in chain[1:]] if isinstance(chain, list) else []


def _rank(way: Way, evidence: dict[str, list[_Said]], folder: str, has_lock: bool, parts: set[str]) -> tuple[int, ...]:
    """Return what sorts the ways: what the Dockerfile runs, then the nearest, then those with a lock.

    :param parts: files that are only a part of what runs in production.
    """
    named = _about(evidence, way)
    weight = _weight(named[0].file) if named else 3
    if way.kind == "pyproject" and has_lock and not way.details.get("locked"):
        weight = 4  # their lock says more than what it was made of, even where they install without it
    has_django = 0 if "django" in way.packages else 1
    # What they run on another database with is no better than a list for development.
    is_development = 1 if DEVELOPMENT.search(way.files[0]) or OTHER_DATABASE.search(way.files[0]) else 0
    distance = folder.count("/") - parent(way.files[0]).count("/")
    kind, is_part = ORDER.index(way.kind), int(way.files[0] in parts)
    return has_django, is_development, weight, distance, kind, is_part, len(way.files[0])


def _weight(file: str) -> int:
    name = file.lower()
    if "dockerfile" in name or "containerfile" in name or name.endswith(".toml"):
        return 0
    return 1 if name.endswith((".yml", ".yaml")) else 2


def _names(place: _Said, way: Way) -> bool:
    return any(file.endswith(place.names.lstrip("./")) or place.names.endswith(file) for file in way.files[:1])


@dataclass(frozen=True)
class _Said(Place):
    """A line that installs packages.

    :param names: the requirements file in it.
    """

    names: str = ""


def _evidence(tree: Tree, kind: str) -> list[_Said]:
    """Return the lines that install packages in that way: of Dockerfiles, CI files, scripts, in this order."""
    scripts = [
        file for file in tree.named("Makefile", "*.sh", "justfile", "Procfile", "heroku.yml") if not is_test(file)
    ]
    found = []
    for file in [*dockerfile.files(tree), *samples.ci_files(tree), *scripts]:
        text = tree.text(file)
        for match in COMMANDS[kind].finditer(text):
            names = match.groupdict().get("file") or ""
            found.append(_Said(file, line_of(text, match.start()), names.strip("\"'")))
    return found
