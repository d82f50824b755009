"""Read settings that are attributes of classes: those of django-configurations, and Read the Docs' manner."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from berth.inspect.model import Place
from berth.inspect.python_source import dotted
from berth.inspect.scope import Assignment, Guard, Scope, Scopes


def read_classes(scopes: Scopes, scope: Scope, wanted: str | None) -> str | None:
    """Add the settings of a module's class to its scope, as if they were names of the module.

    :param wanted: the class that DJANGO_CONFIGURATION names; without it, the one whose `load_settings` is called, else
        the last one that assigns settings.
    :return: the name of the class, or None when settings are no attributes here.
    """
    classes = {node.name: node for node in scopes.sources.parse(scope.file).body if isinstance(node, ast.ClassDef)}
    chosen = classes.get(wanted or "") or _loaded(scopes, scope, classes) or _last(classes)
    if chosen is None:
        return None
    found = list(_attributes(scopes, scope, chosen, 0))
    scope.assignments += found
    return chosen.name


def _loaded(scopes: Scopes, scope: Scope, classes: dict[str, ast.ClassDef]) -> ast.ClassDef | None:
    for node in ast.walk(scopes.sources.parse(scope.file)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "load_settings":
            return classes.get(dotted(node.func.value))
    return None


def _last(classes: dict[str, ast.ClassDef]) -> ast.ClassDef | None:
    """Return the last class that looks like settings: of a base named for them, with names in capitals."""
    fitting = [
        node
        for node in classes.values()
        if any(dotted(base).endswith(("Settings", "Configuration", "Base")) for base in node.bases)
        and sum(1 for name in _names(node) if name.isupper()) >= 2
        and not any("pydantic" in dotted(base).lower() for base in node.bases)
    ]
    return fitting[-1] if fitting else None


def _names(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))


def _attributes(scopes: Scopes, scope: Scope, node: ast.ClassDef, depth: int) -> Iterator[Assignment]:
    """Give the attributes of a class, those of its bases first."""
    for base in reversed(node.bases):
        home, parent = _class(scopes, scope, dotted(base))
        if home and parent and depth < 8:
            yield from _attributes(scopes, home, parent, depth + 1)
            if home.file not in scope.files:
                scope.files.append(home.file)
    for statement in node.body:
        yield from _statement(scope, statement, ())


def _class(scopes: Scopes, scope: Scope, name: str) -> tuple[Scope | None, ast.ClassDef | None]:
    home, wanted = scope, name
    if name in scope.imported:
        file, wanted = scope.imported[name]
        home = scopes.load(file)
    for node in scopes.sources.parse(home.file).body:
        if isinstance(node, ast.ClassDef) and node.name == wanted:
            return home, node
    return None, None


def _statement(scope: Scope, node: ast.stmt, guards: tuple[Guard, ...]) -> Iterator[Assignment]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield _made(scope, target.id, node.value, guards)
    elif isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
        yield _made(scope, node.target.id, node.value, guards)
    elif isinstance(node, ast.If):
        for branch, body in enumerate((node.body, node.orelse)):
            guard = Guard(id(node), branch, node.test, Place(scope.file, node.lineno))
            for each in body:
                yield from _statement(scope, each, (*guards, guard))
    elif isinstance(node, ast.FunctionDef) and node.name.isupper():
        for inner in ast.walk(node):
            if isinstance(inner, ast.Return) and inner.value is not None:
                yield _made(scope, node.name, inner.value, guards)


def _made(scope: Scope, name: str, value: ast.expr, guards: tuple[Guard, ...]) -> Assignment:
    return Assignment(name, (), value, Place(scope.file, value.lineno), guards, scope)
