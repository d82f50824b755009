"""Parse TOML; a file that cannot be parsed is put down as a problem."""

from __future__ import annotations

import sys
from typing import Any

from berth.inspect.model import Place
from berth.inspect.tree import Tree, line_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    # nox brings it along there.
    import tomli as tomllib


def load(tree: Tree, file: str) -> dict[str, Any]:
    """Return what a file holds, or nothing."""
    try:
        return tomllib.loads(tree.text(file))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        tree.problems[Place(file)] = f"is no TOML that can be parsed: {error}"
        return {}


def table(content: Any, *keys: str) -> dict[str, Any]:
    """Return the table at the end of a path of keys; an empty one where there is none."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}


def items(content: Any, *keys: str) -> list[Any]:
    """Return the array at the end of a path of keys; an empty one where there is none."""
    found = table(content, *keys[:-1]).get(keys[-1])
    return found if isinstance(found, list) else []


def place(tree: Tree, file: str, words: str) -> Place:
    """Return the first line that holds ``words``, or the file as a whole."""
    offset = tree.text(file).find(words)
    return Place(file, line_of(tree.text(file), offset) if offset >= 0 else 0)
