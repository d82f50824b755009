"""Find out how a project writes down its packages, and with which tool it installs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass, field

from berth.inspect import dockerfile, locked, samples, toml_file
from berth.inspect.model import Alternative, Certainty, Fact, Place, Value
from berth.inspect.tree import Tree, is_test, line_of, parent

COMMANDS = {
    "uv": re.compile(r"\buv (?:sync|export|run)\b"),
    "poetry": re.compile(r"\bpoetry (?:install|export|lock)\b|poetry-plugin-export"),
    "pdm": re.compile(r"\bpdm (?:install|sync|export)\b"),
    "pipenv": re.compile(r"\bpipenv (?:install|sync|requirements)\b"),
    "requirements": re.compile(r"(?:-r|--requirements?|pip sync)[ =]?\s*[\"']?(?P<file>[^\s\"']+\.txt)"),
    "pyproject": re.compile(r"pip install (?:\S+ )*?(?:-e |--editable )?[\"']?\.(?:\[[\w,]+\])?[\"']?(?=\s|$|&)"),
}
LOCKS = {"uv": "uv.lock", "poetry": "poetry.lock", "pdm": "pdm.lock", "pipenv": "Pipfile.lock"}
ORDER = ("uv", "poetry", "pdm", "pipenv", "requirements", "pyproject")
DEVELOPMENT = re.compile(r"dev|test|lint|docs?\b|local|ci\b|ci-|mlval|playwright|debug")


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
    ways = [way for home in _upwards(folder) for way in _ways(tree, home)]
    if not ways:
        return Requirements(None, (Fact("requirements", None, Place(""), why="no list of packages was found"),))
    evidence = {kind: _evidence(tree, kind) for kind in ORDER}
    ranked = sorted(ways, key=lambda way: _rank(way, evidence, folder))
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


def _rank(way: Way, evidence: dict[str, list[_Said]], folder: str) -> tuple[int, int, int, int, int, int]:
    """Return what sorts the ways: what the Dockerfile runs, then the nearest, then those with a lock."""
    named = _about(evidence, way)
    weight = _weight(named[0].file) if named else 3
    has_django = 0 if "django" in way.packages else 1
    is_development = 1 if DEVELOPMENT.search(way.files[0]) else 0
    distance = folder.count("/") - parent(way.files[0]).count("/")
    return has_django, is_development, weight, distance, ORDER.index(way.kind), len(way.files[0])


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


def _ways(tree: Tree, home: str) -> Iterator[Way]:
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
    details: dict[str, Value] = {"groups": list(_groups(content)), "locked": True}
    if re.search(r'source = \{ (?:editable|virtual) = "\."', tree.text(lock)):
        details["installs_tree"] = 'editable = "."' in tree.text(lock)
    return Way(kind, (lock, *([project] if project else [])), packages, details)


def _groups(content: dict[str, object]) -> list[str]:
    tables = (
        toml_file.table(content, "dependency-groups"),
        toml_file.table(content, "project", "optional-dependencies"),
        toml_file.table(content, "tool", "poetry", "group"),
        toml_file.table(content, "tool", "pdm", "dev-dependencies"),
    )
    return list(dict.fromkeys(name for each in tables for name in each))


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
        patterns = ("*require*.txt",) if folder == home else ("*.txt",)
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
        "groups": list(_groups(content)),
        "locked": all(each.version for each in packages.values()),
    }
    details["installs_tree"] = bool(toml_file.table(content, "build-system")) or files == [config]
    return Way("pyproject", tuple(files), packages, details)
