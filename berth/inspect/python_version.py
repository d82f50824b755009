"""Work out which versions of Python a project can run on, and which one its own files ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from berth.inspect import dockerfile, samples, toml_file
from berth.inspect.locked import Packages
from berth.inspect.model import Alternative, Certainty, Fact, Place, Value
from berth.inspect.requirements import Requirements
from berth.inspect.tree import Tree, is_test, line_of, parent

SERIES = tuple(f"3.{minor}" for minor in range(6, 16))
DJANGO_RUNS_ON = {
    "1.11": (4, 7), "2.0": (4, 7), "2.1": (5, 7), "2.2": (5, 9), "3.0": (6, 9), "3.1": (6, 9), "3.2": (6, 10),
    "4.0": (8, 10), "4.1": (8, 11), "4.2": (8, 12), "5.0": (10, 12), "5.1": (10, 13), "5.2": (10, 14),
    "6.0": (12, 14), "6.1": (12, 15),
}  # fmt: skip
"""The first and the last minor version of Python 3 that Django's release notes name, by its series."""
CI_LINE = re.compile(r"python[-_]?version[\"']?\s*[:=]\s*(?P<value>\[[^\]]*\]|[^\n]+)", re.I)
CI_IMAGE = re.compile(r"image:\s*[\"']?(?:\S+/)?python:(?P<value>3\.\d+)")
NUMBER = re.compile(r"(?<![\d.])3\.\d{1,2}(?:\.\d+)?(?![\d])")
IMAGE = re.compile(r"python[\w-]*?[:-]?(?P<value>3\d\d(?!\d)|3\.\d+(?:\.\d+)*)")


@dataclass(frozen=True)
class Said:
    """What one file says of Python.

    :param kind: bound for a range; exact for one version that is used.
    """

    kind: str
    text: str
    place: Place

    @property
    def series(self) -> str:
        """The minor series of an exact one: 3.12 of 3.12.4."""
        return ".".join(self.text.split(".")[:2])


def find(tree: Tree, folder: str, requirements: Requirements) -> list[Fact]:
    """Return the fact `python`: what is allowed, what is preferred, and who says so.

    :param folder: that of manage.py.
    """
    said = [*_bounds(tree, folder, requirements), *_exact(tree, folder), *_ci(tree)]
    django = _series(requirements.packages)
    allowed = [series for series in SERIES if _fits(series, said) and _django_fits(series, django)]
    wanted = next((each for each in said if each.kind == "exact" and each.series in SERIES), None)
    tested = [each for each in said if each.kind == "ci" and each.series in allowed]
    wanted = wanted or max(tested, key=lambda each: SERIES.index(each.series), default=None)
    preferred = wanted.series if wanted and wanted.series in allowed else (allowed[-1] if allowed else None)
    value: dict[str, Value] = {
        "allowed": list(allowed),
        "preferred": preferred,
        "django": django,
        "said": [f"{each.text} ({each.place})" for each in said],
    }
    others = tuple(
        Alternative(each.series, each.place, "outside of what is allowed" if each.series not in allowed else "")
        for each in _distinct(said)
        if each.series != preferred
    )
    certainty, why = _certainty(said, wanted, preferred, django)
    origin = wanted.place if wanted else said[0].place if said else Place("")
    return [Fact("python", value, origin, certainty, others, why)]


def _certainty(
    said: list[Said], wanted: Said | None, preferred: str | None, django: str | None
) -> tuple[Certainty, str]:
    if preferred is None:
        return "guess", "what the files say contradicts itself: no version fits all"
    if _only(said, preferred):
        return "certain", ""
    if wanted is None:
        why = "no file names one: the newest that fits was taken"
        return ("likely", why) if said and django else ("guess", why)
    if wanted.series != preferred:
        ceiling = f", which Django {django} or a bound does not allow" if django else ""
        return "guess", f"{wanted.place} says {wanted.series}{ceiling}"
    if wanted.kind == "ci":
        return "likely", "only continuous integration names it"
    return "certain", ""


def _only(said: list[Said], series: str) -> bool:
    """Tell whether the bounds leave just one series."""
    return [each for each in SERIES if _fits(each, said)] == [series]


def _distinct(said: list[Said]) -> list[Said]:
    first: dict[str, Said] = {}
    for each in said:
        if each.kind in {"exact", "ci"}:
            first.setdefault(each.series, each)
    return list(first.values())


def _fits(series: str, said: list[Said]) -> bool:
    """Tell whether some release of a series is within all bounds."""
    releases = [Version(f"{series}.{patch}") for patch in range(31)]
    for each in said:
        if each.kind == "bound":
            try:
                allowed = SpecifierSet(each.text)
            except InvalidSpecifier:
                continue
            if not any(allowed.contains(release) for release in releases):
                return False
    return True


def _series(packages: Packages) -> str | None:
    """Return the series of Django that is locked, or the newest that is asked for with a ceiling."""
    package = packages.get("django")
    if package is None:
        return None
    if package.version:
        try:
            release = Version(package.version).release
        except InvalidVersion:
            return None
        return f"{release[0]}.{release[1] if len(release) > 1 else 0}"
    try:
        wanted = SpecifierSet(caret(package.specifier))
    except InvalidSpecifier:
        return None
    fitting = [series for series in DJANGO_RUNS_ON if any(wanted.contains(f"{series}.{patch}") for patch in (0, 30))]
    return fitting[-1] if fitting else None


def _django_fits(series: str, django: str | None) -> bool:
    first, last = DJANGO_RUNS_ON.get(django or "", (0, 99))
    return first <= int(series.partition(".")[2]) <= last


def caret(text: str) -> str:
    """Return one of Poetry's specifiers, `^3.9` or `~3.9`, as PEP 440 has it; any other one unchanged."""
    parts = []
    for part in text.replace(" ", "").split(","):
        match = re.match(r"([\^~])(\d+)(?:\.(\d+))?(.*)$", part)
        if match and not part.startswith("~="):
            major, minor = int(match[2]), match[3]
            ceiling = f"{major}.{int(minor) + 1}" if match[1] == "~" and minor else str(major + 1)
            part = f">={part[1:]},<{ceiling}"
        elif re.match(r"\d[\d.]*$", part):
            part = f"=={part}" if part.count(".") >= 2 else f"=={part}.*"
        elif re.match(r"\d+(\.\d+)*\.\*$", part):
            part = f"=={part}"
        parts.append(part)
    return ",".join(part for part in parts if part != "*")


def _bounds(tree: Tree, folder: str, requirements: Requirements) -> Iterator[Said]:
    for home in dict.fromkeys([requirements.folder, folder, ""]):
        file = f"{home}/pyproject.toml".lstrip("/")
        if file in tree:
            content = toml_file.load(tree, file)
            for text in (
                toml_file.table(content, "project").get("requires-python"),
                toml_file.table(content, "tool", "poetry", "dependencies").get("python"),
            ):
                if isinstance(text, str):
                    key = "requires-python" if "requires-python" in tree.text(file) else "python ="
                    yield Said("bound", caret(text), toml_file.place(tree, file, key))
        for name in ("setup.cfg", "uv.lock", "poetry.lock"):
            file = f"{home}/{name}".lstrip("/")
            if file in tree:
                yield from _bound_line(tree, file)


def _bound_line(tree: Tree, file: str) -> Iterator[Said]:
    text = tree.text(file)
    match = re.search(r'^(?:requires-python|python-versions|python_requires) = "?([^"\n]+)"?$', text, re.M)
    if file.endswith("poetry.lock"):
        at = text.rfind("\n[metadata]")
        match = re.compile(r'^python-versions = "([^"\n]+)"$', re.M).search(text, max(at, 0))
    if match:
        yield Said("bound", caret(match[1]), Place(file, line_of(text, match.start())))


def _exact(tree: Tree, folder: str) -> Iterator[Said]:
    """Give the versions that are really used, the best source first: images, then files of version managers."""
    for file, instructions in dockerfile.by_file(tree).items():
        if (
            not is_test(file)
            and not re.search(r"devcontainer|test|docs|nginx|localstack", file)
            and _near(file, folder)
        ):
            for image, place in dockerfile.images(instructions):
                if version := of_image(image):
                    yield Said("exact", version, place)
                    break
    for home in dict.fromkeys([folder, ""]):
        for name in (".python-version", "runtime.txt", ".tool-versions", "mise.toml", "Pipfile"):
            file = f"{home}/{name}".lstrip("/")
            if file in tree:
                for number, line in enumerate(tree.text(file).splitlines(), 1):
                    ours = name in {".python-version", "runtime.txt"} or "python" in line
                    if ours and (match := NUMBER.search(line)):
                        yield Said("exact", match[0], Place(file, number))
                        break


def _near(file: str, folder: str) -> bool:
    """Tell whether a Dockerfile may be the project's: not in a folder that is another project of a monorepo."""
    home = parent(file)
    return (
        not home
        or not folder
        or home == folder
        or home.startswith(f"{folder}/")
        or folder.startswith(home)
        or bool(re.search(r"docker|container|deploy|compose|devops", home))
    )


def of_image(image: str) -> str | None:
    """Return the version of Python in an image's name: 3.12 of `python:3.12-slim` and of `ubi9/python-312`."""
    match = IMAGE.search(image.partition("@")[0])
    if not match:
        return None
    value = match["value"]
    return value if "." in value else f"3.{value[1:]}"


def _ci(tree: Tree) -> Iterator[Said]:
    for file in tree.below(".github", ".python-version"):
        if match := NUMBER.search(tree.text(file)):
            yield Said("ci", match[0], Place(file, 1))
    for file in samples.ci_files(tree):
        text = tree.text(file)
        for match in (*CI_LINE.finditer(text), *CI_IMAGE.finditer(text)):
            for number in NUMBER.findall(match["value"]):
                yield Said("ci", number, Place(file, line_of(text, match.start())))
