"""Read which packages a project asks for, and in which versions it locks them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from berth.inspect import toml_file
from berth.inspect.model import Place
from berth.inspect.tree import Tree, line_of, parent

TABLE = re.compile(r'^\[\[package\]\]\s*\nname = "(?P<name>[^"]+)"\s*\nversion = "(?P<version>[^"]+)"', re.M)
OPTION = re.compile(r"^(-r|--requirement|-c|--constraint)[ =]?\s*(?P<file>\S+)")
EDITABLE = re.compile(r"^(-e|--editable)[ =]?\s*(?P<what>\S+)")
EGG = re.compile(r"#egg=(?P<name>[\w.-]+)")


@dataclass(frozen=True)
class Package:
    """A package that a project asks for.

    :param name: in its canonical form.
    :param version: the one that is locked; "" when none is.
    :param specifier: what is asked for, when no version is locked.
    :param extras: what is in brackets behind the name.
    """

    name: str
    version: str
    place: Place
    specifier: str = ""
    extras: tuple[str, ...] = ()


class Packages(dict[str, Package]):
    """Packages by canonical name; the first to be added stays, unless a locked one replaces one that is not."""

    def add(self, package: Package) -> None:
        known = self.get(package.name)
        if known is None or (package.version and not known.version):
            self[package.name] = package


def of_tables(tree: Tree, file: str) -> Iterator[Package]:
    """Give the packages of uv.lock, poetry.lock or pdm.lock: machines write these, so two lines tell."""
    text = tree.text(file)
    offset, line = 0, 1
    for match in TABLE.finditer(text):
        line += text.count("\n", offset, match.start("name"))
        offset = match.start("name")
        yield Package(canonicalize_name(match["name"]), match["version"], Place(file, line))


def of_pipfile_lock(tree: Tree, file: str) -> Iterator[Package]:
    """Give the packages of Pipfile.lock that are not for development only."""
    text = tree.text(file)
    try:
        entries = json.loads(text).get("default", {})
    except (ValueError, AttributeError) as error:
        tree.problems[Place(file)] = f"is no JSON that can be parsed: {error}"
        return
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        version = str(entry.get("version", "")).removeprefix("==") if isinstance(entry, dict) else ""
        offset = max(text.find(f'"{name}": {{'), 0)
        yield Package(canonicalize_name(name), version, Place(file, line_of(text, offset)))


@dataclass(frozen=True)
class RequirementsFile:
    """One file of pip's format, and what it reads.

    :param chain: the files that it reads with -r and -c, all levels, itself first.
    :param hashed: every requirement has a hash.
    :param pinned: every requirement has one version.
    :param installs_tree: it installs the project itself, with `.` or `-e .`.
    """

    chain: tuple[str, ...]
    packages: tuple[Package, ...]
    hashed: bool
    pinned: bool
    installs_tree: bool


def requirements_file(tree: Tree, file: str) -> RequirementsFile:
    """Read a requirements file with all that it includes; a line that is no requirement is put down as a problem."""
    chain: list[str] = []
    packages: list[Package] = []
    state = {"hashes": 0, "here": 0, "direct": 0}

    def read(name: str, constraint: bool) -> None:
        if name in chain:
            return
        chain.append(name)
        for line, place in _logical(tree.text(name), name):
            if option := OPTION.match(line):
                target = _beside(name, option["file"])
                if target in tree:
                    read(target, constraint or line.startswith(("-c", "--c")))
                else:
                    tree.problems[place] = f"names {option['file']}, which is not there"
                continue
            editable = EDITABLE.match(line)
            words = editable["what"] if editable else line
            if words in {".", "./"} or words.startswith((".[", "./[")):
                state["here"] += 1
            elif package := _package(tree, words, place):
                packages.append(package)
                state["hashes"] += "--hash=" in line
                state["direct"] += not package.version

    read(file, False)
    hashed = bool(packages) and state["hashes"] == len(packages)
    pinned = bool(packages) and state["direct"] == 0
    return RequirementsFile(tuple(chain), tuple(packages), hashed, pinned, state["here"] > 0)


def _logical(text: str, file: str) -> Iterator[tuple[str, Place]]:
    """Give the lines that say something, continued ones joined, without comments."""
    number, pending, start = 0, "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        stripped = re.sub(r"(^|\s)#(?!egg=).*", "", line).rstrip()
        pending += stripped.removesuffix("\\") + " " if stripped.endswith("\\") else stripped
        if stripped.endswith("\\"):
            continue
        if pending.strip():
            yield pending.strip(), Place(file, start)
        pending, start = "", 0
    if pending.strip():
        yield pending.strip(), Place(file, start or number)


def _beside(file: str, other: str) -> str:
    parts = [part for part in f"{parent(file)}/{other}".split("/") if part not in {"", "."}]
    clean: list[str] = []
    for part in parts:
        if part == ".." and clean:
            clean.pop()
        else:
            clean.append(part)
    return "/".join(clean)


def _package(tree: Tree, line: str, place: Place) -> Package | None:
    if line.startswith("-"):
        return None  # an option such as an index, which decides nothing here
    words = re.split(r"\s--", line)[0].strip()
    if egg := EGG.search(words):
        return Package(canonicalize_name(egg["name"]), "", place, words)
    if "://" in words.partition("@")[0] or words.startswith((".", "/")) or words.endswith((".whl", ".tar.gz", ".zip")):
        name = re.split(r"[-_]\d|\.git|$", words.rpartition("/")[2])[0]
        return Package(canonicalize_name(name or "unnamed"), "", place, words)
    try:
        return requested(words, place)
    except InvalidRequirement as error:
        tree.problems[place] = f"is no requirement: {str(error).splitlines()[0]}"
        return None


def requested(words: str, place: Place) -> Package:
    """Return the package of a requirement.

    :raises InvalidRequirement: it is none.
    """
    requirement = Requirement(words)
    exact = [
        each.version for each in requirement.specifier if each.operator in {"==", "==="} and "*" not in each.version
    ]
    return Package(
        canonicalize_name(requirement.name),
        exact[0] if len(exact) == 1 else "",
        place,
        str(requirement.specifier) or (requirement.url or ""),
        tuple(sorted(requirement.extras)),
    )


def of_lines(tree: Tree, file: str, lines: Iterable[object]) -> Iterator[Package]:
    """Give the packages of a list of requirements in pyproject.toml."""
    for line in lines:
        if isinstance(line, str):
            try:
                yield requested(line, toml_file.place(tree, file, line.replace('"', "'")))
            except InvalidRequirement as error:
                tree.problems[Place(file)] = f"{line!r} is no requirement: {str(error).splitlines()[0]}"


def of_poetry(tree: Tree, file: str, table: dict[str, object]) -> Iterator[Package]:
    """Give the packages of a table of Poetry's or Pipenv's, name = version."""
    for name, entry in table.items():
        if name.lower() == "python":
            continue
        version = entry.get("version", "") if isinstance(entry, dict) else entry
        extras = entry.get("extras", ()) if isinstance(entry, dict) else ()
        text = version if isinstance(version, str) else ""
        exact = text.removeprefix("==") if re.match(r"(==)?\d[\w.]*$", text) else ""
        yield Package(canonicalize_name(name), exact, toml_file.place(tree, file, f"{name} ="), text, tuple(extras))
