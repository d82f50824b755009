"""Find the modules that hold the WSGI and the ASGI application."""

from __future__ import annotations

import ast

from berth.inspect.model import Alternative, Fact, Place
from berth.inspect.python_source import dotted, literal, module_name
from berth.inspect.scope import Scopes
from berth.inspect.tree import is_test, parent


def find(scopes: Scopes, kind: str, settings: str) -> list[str]:
    """Return the files of modules named wsgi or asgi, the one of the settings' package first.

    :param kind: wsgi or asgi.
    :param settings: the settings module, "" when it is not known.
    """
    tree = scopes.sources.tree
    folder = scopes.roots[0]
    files = [file for file in tree.below(folder, f"{kind}.py") if not is_test(file)]
    files += [file for file in tree.below(folder, "__init__.py") if parent(file).rpartition("/")[2] == kind]
    files = tree.holding(files, "application")
    package = settings.partition(".")[0]
    homes = [f"{root}/{package}".strip("/") for root in scopes.roots]
    wanted = _wanted(scopes)
    named = [file for root in scopes.roots for file in files if f"{module_name(file, root)}.application" in wanted]
    return sorted(files, key=lambda file: (file not in named, parent(file) not in homes, file.count("/"), file))


def _wanted(scopes: Scopes) -> set[str]:
    """Return what settings name as their application; looked for as plain text in files named settings."""
    found: set[str] = set()
    tree = scopes.sources.tree
    for file in tree.holding(tree.named("settings*.py", "base.py", "common.py"), "_APPLICATION"):
        for node in scopes.sources.parse(file).body:
            if isinstance(node, ast.Assign) and dotted(node.targets[0]) in {"WSGI_APPLICATION", "ASGI_APPLICATION"}:
                found.add(literal(node.value) or "")
    return found


def fact(kind: str, files: list[str], roots: tuple[str, ...]) -> Fact:
    """Return the fact `wsgi` or `asgi`: the module, as one imports it."""
    if not files:
        return Fact(kind, None, Place(""), why=f"no {kind}.py with an application was found")
    modules = [module_name(file, _root_of(file, roots)) for file in files]
    others = tuple(Alternative(module, Place(file)) for module, file in zip(modules[1:], files[1:], strict=True))
    return Fact(kind, modules[0], Place(files[0]), "likely" if others else "certain", others)


def _root_of(file: str, roots: tuple[str, ...]) -> str:
    """Return the longest folder on the path that holds the file; modules are imported from there."""
    fitting = [root for root in roots if not root or file.startswith(f"{root}/")]
    return max(fitting, key=len, default="")
