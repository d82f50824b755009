"""Find settings that each developer makes from an example file, and tell whether the project starts without them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from berth.inspect.model import Fact, Place
from berth.inspect.python_source import Sources, dotted, literal, module_name
from berth.inspect.scope import Scope
from berth.inspect.settings_choice import Choice
from berth.inspect.tree import Tree, is_test, parent

WORDS = r"(?:example|sample|template|tmpl|dist|default|skel|in)"
PATTERNS = (
    re.compile(rf"^(?P<name>\w+)[._-]{WORDS}\.py$"),
    re.compile(rf"^(?P<name>\w+)\.py[._-]{WORDS}$"),
    re.compile(r"^(?:example|sample)[._-](?P<name>\w+)\.py$"),
)
SETTINGS = re.compile(r"settings|config|local|prod|dev|secret|conf\b")


def find(sources: Sources, roots: Sequence[str], settings: Sequence[Scope], chosen: Choice) -> Iterator[Fact]:
    """Give a fact `settings.example` for each example of a settings file that is not there.

    :param chosen: the settings of development: what these insist on, nothing runs without.
    """
    for file in sources.tree.files:
        target = _target(file)
        if not target or target in sources.tree or is_test(file) or not SETTINGS.search(target.rpartition("/")[2]):
            continue
        place = _insists(sources, roots, chosen, target)
        if place is None and not _is_beside(file, settings):
            continue
        why = "the project does not start without it" if place else "it is an example of what is not there"
        value = {"file": file, "becomes": target, "wanted_at": str(place) if place else None}
        yield Fact("settings.example", value, Place(file), "certain" if place else "likely", (), why)


def _target(file: str) -> str:
    """Return the file that an example is one of; "" for what is no example."""
    folder, name = parent(file), file.rpartition("/")[2]
    match = next((match for pattern in PATTERNS if (match := pattern.match(name))), None)
    return f"{folder}/{match['name']}.py".lstrip("/") if match else ""


def _is_beside(file: str, settings: Sequence[Scope]) -> bool:
    return any(parent(file) == parent(each) for scope in settings for each in scope.files)


def _insists(sources: Sources, roots: Sequence[str], chosen: Choice, target: str) -> Place | None:
    """Return the line that the project cannot pass without a file: nothing catches its failure."""
    modules = {module_name(target, root) for root in roots if not root or target.startswith(f"{root}/")}
    if chosen.fact.value in modules:
        return chosen.fact.origin
    scope = chosen.scope
    read = {*scope.files, *(file for file, _ in scope.imported.values())} if scope else set()
    for file in sorted(read & set(sources.tree.files)):
        for node in _unguarded(sources.parse(file).body):
            if _names(node, modules, _relative(target, file)):
                return Place(file, getattr(node, "lineno", 0))
    return None


def _unguarded(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Give what a module does in any case: nothing that stands below a condition, or where failures are caught."""
    for node in body:
        if isinstance(node, (ast.If, ast.Try, ast.With, ast.ClassDef)):
            continue
        yield node
        yield from _unguarded(list(ast.iter_child_nodes(node)))


def _relative(target: str, file: str) -> str:
    """Return the name of a module for a relative import from a file beside it; "" for one elsewhere."""
    return target.rpartition("/")[2].removesuffix(".py") if parent(target) == parent(file) else ""


def _names(node: ast.AST, modules: set[str], beside: str) -> bool:
    """Tell whether a node imports one of the modules."""
    if isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        if node.level == 1 and beside:
            return node.module == beside or (not node.module and beside in names)
        return not node.level and (node.module in modules or any(f"{node.module}.{name}" in modules for name in names))
    if isinstance(node, ast.Import):
        return any(alias.name in modules for alias in node.names)
    if isinstance(node, ast.Call) and node.args and "import" in dotted(node.func):
        return literal(node.args[0]) in modules
    return False


def read_by_name(tree: Tree, settings: Sequence[Scope], sources: Sources) -> Iterator[tuple[str, Place]]:
    """Give the files beside the settings that these read by their name, as `local_settings.py`, and that are not
    there."""
    for scope in settings:
        for file in scope.files:
            for node in ast.walk(sources.parse(file)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    name = node.value
                    if re.fullmatch(r"\w*local\w*\.py", name) and f"{parent(file)}/{name}".lstrip("/") not in tree:
                        yield name, Place(file, node.lineno)
