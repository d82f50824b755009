"""Read the recipes and write the lines that build what is missing.

A recipe is a folder with a file `recipe.conf` of shell assignments: VARIABLE is the name in .env that takes TAG, the
image's name; BASE, where there is one, is the recipe whose image it builds on. The rest is for the script `build`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from berth.errors import Refused

Argv = list[str]

RECIPES = Path(__file__).parent / "recipes"
BUILD = Path(__file__).parent / "build"
"""The script that builds one of them."""


@dataclass(frozen=True)
class Recipe:
    """An image that is built from packages.

    :param base: the recipe that it builds on.
    :param stands_for: patterns of upstream's images, in the place of which it is used where several recipes fill one
        variable; () for the one that is used else.
    """

    name: str
    variable: str
    tag: str
    base: str | None = None
    stands_for: tuple[str, ...] = ()


def read_recipes(folder: Path) -> list[Recipe]:
    """Return the recipes in ``folder``, each one after that of its base, else by name.

    :raises Refused: recipes that lack VARIABLE or TAG, cannot be parsed, or build on no recipe or on themselves; all
        of them are named.
    """
    found: dict[str, Recipe] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*/recipe.conf")):
        try:
            found[path.parent.name] = _recipe(path.parent.name, path.read_text(encoding="utf-8"))
        except ValueError as error:
            problems.append(f"{path}: {error}")
    for recipe in found.values():
        path = folder / recipe.name / "recipe.conf"
        if recipe.base and not (folder / recipe.base / "recipe.conf").is_file():
            problems.append(f"{path}: BASE is {recipe.base}, but there is no {folder / recipe.base / 'recipe.conf'}")
    if problems:
        raise Refused("\n".join(problems))
    return [found[name] for name in _in_order(found, folder)]


def _recipe(name: str, text: str) -> Recipe:
    values = assignments(text)
    if missing := [key for key in ("VARIABLE", "TAG") if not values.get(key)]:
        raise ValueError(f"{' and '.join(missing)} not set")
    return Recipe(
        name, values["VARIABLE"], values["TAG"], values.get("BASE") or None, tuple(values.get("FOR", "").split())
    )


def assignments(text: str) -> dict[str, str]:
    """Return the assignments of a shell file that holds nothing else, unquoted.

    :raises ValueError: quotes that are not closed, or a word that is no assignment.
    """
    values = {}
    for word in shlex.split(text, comments=True):
        name, equals, value = word.partition("=")
        if not (equals and name.isidentifier() and name.isascii()):
            raise ValueError(f"{word!r} is not of the form NAME=value")
        values[name] = value
    return values


def _in_order(found: Mapping[str, Recipe], folder: Path) -> list[str]:
    graph = {name: {recipe.base} if recipe.base else set() for name, recipe in found.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise Refused(f"{folder}: the recipes build on each other: {' -> '.join(error.args[1])}") from error


def used(recipes: Iterable[Recipe], named: Mapping[str, str]) -> list[Recipe]:
    """Return the recipes whose variable a project has, in their order, and those that they build on.

    :param named: what its `.env.template` says of each variable.
    :raises Refused: the project is made for a Python that no recipe has.
    """
    recipes = list(recipes)
    wanted: set[str] = set()
    for variable, image in named.items():
        rivals = [recipe for recipe in recipes if recipe.variable == variable]
        exact = [recipe for recipe in rivals if any(fnmatch(image, pattern) for pattern in recipe.stands_for)]
        chosen = (exact or [recipe for recipe in rivals if not recipe.stands_for])[:1]
        said = _python(image)
        if said and chosen and said != _python(chosen[0].tag):
            there = sorted({_python(recipe.tag) for recipe in rivals}, key=lambda each: int(each.partition(".")[2]))
            raise Refused(
                f"the project is made for Python {said} ({variable} in .env.template), and packages give "
                f"{', '.join(there)}: if one of them fits, type `berth init --remove`, and "
                "`berth init --answer python=VERSION`"
            )
        wanted |= {recipe.name for recipe in chosen}
    wanted |= {recipe.base for recipe in recipes if recipe.name in wanted and recipe.base}
    return [recipe for recipe in recipes if recipe.name in wanted]


def _python(image: str) -> str:
    """Return the version in the name of an image of Python, as `3.13`, or an empty text."""
    found = re.search(r"(?:^|/)python:(\d+\.\d+)", image)
    return found[1] if found else ""


def build_lines(recipes: Iterable[Recipe], present: Collection[str]) -> list[Argv]:
    """Return the lines that build the recipes whose tag is not among `present`, in the order of the recipes."""
    return [[str(BUILD), recipe.name] for recipe in recipes if recipe.tag not in present]


def build_line(words: str, folder: Path = RECIPES) -> Argv:
    """Return the line that builds an image of another version.

    :param words: `RECIPE:VERSION`.
    :raises Refused: there is no such recipe.
    """
    name, _, version = words.partition(":")
    there = sorted(f"{path.parent.name}:{path.stem}" for path in folder.glob("*/[0-9]*.conf"))
    if words not in there:
        raise Refused(f"there is no recipe `{words}`: there are {', '.join(there)}")
    return [str(BUILD), name, version]


def variables(recipes: Iterable[Recipe]) -> dict[str, str]:
    """Return what .env has to say for Compose and the Dockerfiles to use the images of these recipes."""
    return {recipe.variable: recipe.tag for recipe in recipes}
