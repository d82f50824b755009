"""Parse YAML and keep the lines; nothing but texts, lists and mappings comes out."""

from __future__ import annotations

from typing import Any

# The one that Invoke brings along: PyYAML itself is no dependency of Berth, and Invoke is.
from invoke.vendor import yaml

from berth.inspect.model import Place
from berth.inspect.tree import Tree

LARGEST = 100_000
"""In characters; the parser is slow, and such a file was not written by hand."""


class Text(str):
    """A scalar, with the line that it stands on."""

    line: int = 0


class Mapping(dict[str, Any]):
    """A mapping, with the line of each key."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


def load(tree: Tree, file: str) -> Mapping:
    """Return the mapping that a file holds; an empty one, put down as a problem, when it cannot be parsed."""
    text = tree.text(file)
    if len(text) > LARGEST:
        tree.problems[Place(file)] = f"is larger than {LARGEST} characters: not parsed"
        return Mapping()
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        made = _value(node, 0)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error)
        tree.problems[Place(file, mark.line + 1 if mark else 0)] = f"is no YAML that can be parsed: {said}"
        return Mapping()
    return made if isinstance(made, Mapping) else Mapping()


def _value(node: Any, depth: int) -> Any:
    if depth > 40:
        raise RecursionError("it is nested too deeply")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, depth)
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, depth + 1) for each in node.value]
    text = Text(node.value if node is not None else "")
    text.line = node.start_mark.line + 1 if node is not None else 0
    return text


def _mapping(node: Any, depth: int) -> Mapping:
    made = Mapping()
    merged: list[Mapping] = []
    for key, value in node.value:
        name = str(key.value)
        if name == "<<":
            found = _value(value, depth + 1)
            merged += [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, Mapping)]
            continue
        made[name] = _value(value, depth + 1)
        made.lines[name] = key.start_mark.line + 1
    for other in merged:
        for name, value in other.items():
            if name not in made:
                made[name] = value
                made.lines[name] = other.lines[name]
    return made
