"""Parse the Python files of a project, and find the file of a module; nothing is imported."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterator, Sequence

from berth.inspect.model import Place
from berth.inspect.tree import Tree, parent

BARE_EXCEPT = re.compile(r"^([ \t]*except\*?[ \t]+)([\w.]+(?:[ \t]*,[ \t]*[\w.]+)+)[ \t]*:", re.M)
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The Python that parses: what a newer one brought is a mistake to it."""


class Sources:
    """The Python files of a project, parsed once each.

    A file that cannot be parsed is put down in the tree's ``problems`` and holds no statements.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._parsed: dict[str, ast.Module] = {}

    def parse(self, file: str) -> ast.Module:
        if file not in self._parsed:
            self._parsed[file] = self._parse(file)
        return self._parsed[file]

    def _parse(self, file: str) -> ast.Module:
        try:
            with warnings.catch_warnings():
                # Escapes like "\d" in their strings are theirs to mend.
                warnings.simplefilter("ignore")
                return _parsed(self.tree.text(file))
        except (SyntaxError, ValueError, RecursionError) as error:
            line = getattr(error, "lineno", None) or 0
            self.tree.problems[Place(file, line)] = f"is no Python {VERSION}, so it was not read: {_short(error)}"
            return ast.Module(body=[], type_ignores=[])

    def find(self, module: str, roots: Sequence[str]) -> str | None:
        """Return the file of a module, or None when it is none of the project's.

        :param module: its dotted name.
        :param roots: the folders on Python's path, "" for the project's root.
        """
        relative = module.replace(".", "/")
        for root in roots:
            base = f"{root}/{relative}" if root else relative
            for file in (f"{base}.py", f"{base}/__init__.py"):
                if file in self.tree:
                    return file
        return None

    def find_relative(self, file: str, level: int, module: str) -> str | None:
        """Return the file that ``from ..module import`` in ``file`` means, or None.

        :param level: the number of dots.
        """
        folder = parent(file)
        for _ in range(level - 1):
            folder = parent(folder)
        return self.find(module, [folder]) if module else self.find("__init__", [folder])


def _parsed(text: str) -> ast.Module:
    """Return the tree of a text; `except A, B:`, which Python 3.14 brought, is understood by older ones, too."""
    try:
        return ast.parse(text)
    except SyntaxError:
        mended = BARE_EXCEPT.sub(r"\1(\2):", text)
        if mended == text:
            raise
        return ast.parse(mended)


def _short(error: Exception) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)


def module_name(file: str, root: str) -> str:
    """Return the dotted name of a file as seen from a folder on Python's path.

    :param root: that folder; it has to hold the file.
    """
    relative = file[len(root) + 1 :] if root else file
    return relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` of an expression of names and attributes; a call or subscript within counts as its function or
    object; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else node.attr
    if isinstance(node, ast.Call):
        return dotted(node.func)
    if isinstance(node, ast.Subscript):
        return dotted(node.value)
    return ""


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return the value of a keyword argument, or None."""
    return next((argument.value for argument in call.keywords if argument.arg == name), None)


def literal(node: ast.expr | None) -> str | None:
    """Return the text of a string constant, or None."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Give the calls below a node, with all that is nested."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))
