"""Follow a settings module through its imports, and put down what is assigned where and under which conditions."""

from __future__ import annotations

import ast
import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field

from berth.inspect.dialects import dialect, helpers
from berth.inspect.environment_reads import Dialect
from berth.inspect.model import Place
from berth.inspect.python_source import Sources, dotted, literal
from berth.inspect.tree import parent

CAUGHT = "a failure is caught"
MERGING = frozenset({"update", "append", "insert", "extend"})
DEEPEST = 12
"""Imports that are followed one from another."""


@dataclass(frozen=True)
class Guard:
    """A branch that an assignment stands in.

    :param number: tells the branches of one statement from those of another.
    :param branch: 0 for the body, 1 for what is done otherwise.
    :param test: the condition; None for the branches of a `try`, and for what may never be called.
    """

    number: int
    branch: int
    test: ast.expr | None
    place: Place

    def text(self) -> str:
        """Return the condition as one reads it."""
        if self.test is None:
            return CAUGHT
        words = self.condition()
        if "__name__" in words:
            return ""
        words = words if len(words) <= 100 else words[:97] + "..."
        return words if self.branch == 0 else f"not ({words})"

    def condition(self) -> str:
        """Return the condition itself, whichever branch it is."""
        return ast.unparse(self.test) if self.test is not None else ""


@dataclass(frozen=True)
class Assignment:
    """A value that a name is given.

    :param path: the constants in brackets behind the name: ("default", "HOST") of DATABASES["default"]["HOST"].
    :param scope: where the expression is to be read; another module's, for what was imported.
    """

    name: str
    path: tuple[str, ...]
    node: ast.expr
    place: Place
    guards: tuple[Guard, ...]
    scope: Scope = field(repr=False, compare=False)
    merges: bool = False


@dataclass
class Scope:
    """What a module's names hold, in the order in which they got it.

    :param files: the module's file and those of the modules whose names it took over.
    :param imported: the file and the name there of what was imported by name from the project.
    :param missing: star imports and includes of what is not in the project.
    :param class_name: the class whose attributes were taken for settings, too.
    """

    file: str
    dialect: Dialect
    assignments: list[Assignment] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    missing: list[tuple[str, Place]] = field(default_factory=list)
    class_name: str | None = None

    def of(self, name: str) -> list[Assignment]:
        """Return what is assigned to a name, or to something within it, in order."""
        return [assignment for assignment in self.assignments if assignment.name == name]

    def live(self, name: str) -> list[Assignment]:
        """Return the assignments to the whole of a name that may decide its value, the last one first."""
        found: list[Assignment] = []
        for assignment in reversed(self.of(name)):
            if assignment.path or assignment.merges:
                continue
            found.append(assignment)
            if not assignment.guards or _closes(assignment.guards, found[:-1]):
                break
        return found


def _closes(guards: tuple[Guard, ...], later: list[Assignment]) -> bool:
    """Tell whether one of the branches is always taken: this one, or another of the same statement."""
    if len(guards) != 1 or guards[0].test is None:
        return False
    other = [known.guards[0] for known in later if len(known.guards) == 1]
    return any(guard.number == guards[0].number and guard.branch != guards[0].branch for guard in other)


class Scopes:
    """The scopes of a project's modules, each read once.

    :param roots: the folders on Python's path.
    """

    def __init__(self, sources: Sources, roots: Sequence[str]) -> None:
        self.sources = sources
        self.roots = tuple(roots)
        # A library's sandbox imports the library, which is installed from above.
        self.search = tuple(dict.fromkeys([*roots, "", "src"]))
        self._known: dict[str, Scope] = {}
        self._open: list[str] = []

    def load(self, file: str, *, functions: bool = False) -> Scope:
        """Return what the names of a module hold.

        :param functions: take the bodies of functions as if they had been called.
        """
        key = f"{file}:{functions}"
        if key not in self._known:
            tree = self.sources.parse(file)
            scope = self._known[key] = Scope(file, dialect(tree), files=[file])
            if len(self._open) < DEEPEST:
                self._open.append(file)
                _Reader(self, scope, functions).block(tree.body, ())
                self._open.pop()
        return self._known[key]

    def target(self, scope: Scope, node: ast.ImportFrom) -> str | None:
        """Return the file that a `from` import names, or None when it is none of the project's."""
        if node.level:
            return self.sources.find_relative(scope.file, node.level, node.module or "")
        return self.sources.find(node.module or "", self.search)

    def submodule(self, scope: Scope, node: ast.ImportFrom, name: str) -> str | None:
        """Return the file of a module that a `from` import takes out of a package, or None."""
        if node.level:
            inner = f"{node.module}.{name}" if node.module else name
            return self.sources.find_relative(scope.file, node.level, inner)
        return self.sources.find(f"{node.module}.{name}", self.search)


class _Reader:
    """Walks the statements of one module."""

    def __init__(self, scopes: Scopes, scope: Scope, functions: bool) -> None:
        self.scopes, self.scope, self.functions = scopes, scope, functions

    def block(self, body: Sequence[ast.stmt], guards: tuple[Guard, ...]) -> None:
        for statement in body:
            self.statement(statement, guards)

    def statement(self, node: ast.stmt, guards: tuple[Guard, ...]) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self.assign(target, node.value, guards)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self.assign(node.target, node.value, guards)
        elif isinstance(node, ast.AugAssign):
            self.assign(node.target, node.value, guards, merges=True)
        elif isinstance(node, ast.If):
            self.branches(node.body, node.orelse, node.test, node, guards)
        elif isinstance(node, ast.Try):
            # What follows an import that works is as good as certain; both ways are kept.
            self.block(node.body, guards)
            for handler in node.handlers:
                self.block(handler.body, (*guards, Guard(id(node), 1, None, self.place(handler))))
            self.block([*node.orelse, *node.finalbody], guards)
        elif isinstance(node, (ast.With, ast.For)):
            self.block(node.body, guards)
        elif isinstance(node, ast.ImportFrom):
            self.import_from(node, guards)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self.call(node.value, guards)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and self.functions:
            self.block(node.body, guards)

    def branches(
        self, body: list[ast.stmt], orelse: list[ast.stmt], test: ast.expr, node: ast.If, guards: tuple[Guard, ...]
    ) -> None:
        if isinstance(test, ast.NamedExpr):
            self.assign(test.target, test.value, guards)
        for branch, statements in enumerate((body, orelse)):
            self.block(statements, (*guards, Guard(id(node), branch, test, self.place(node))))

    def assign(self, target: ast.expr, value: ast.expr, guards: tuple[Guard, ...], *, merges: bool = False) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts):
                for each, its in zip(target.elts, value.elts, strict=True):
                    self.assign(each, its, guards)
            return
        path: list[str] = []
        while isinstance(target, ast.Subscript):
            path.insert(0, literal(target.slice) or "*")
            target = target.value
        if isinstance(target, (ast.Name, ast.Attribute)):
            name = dotted(target)
            place = self.place(value)
            self.scope.assignments.append(Assignment(name, tuple(path), value, place, guards, self.scope, merges))

    def call(self, node: ast.Call, guards: tuple[Guard, ...]) -> None:
        name = dotted(node.func)
        if name in {"include", "split_settings.tools.include"}:
            self.split_settings(node, guards)
        elif isinstance(node.func, ast.Attribute) and node.func.attr in MERGING and node.args:
            self.assign(node.func.value, node.args[-1], guards, merges=True)

    def split_settings(self, node: ast.Call, guards: tuple[Guard, ...]) -> None:
        folder = parent(self.scope.file)
        for argument in node.args:
            inner = argument.args[0] if isinstance(argument, ast.Call) and argument.args else argument
            pattern = literal(inner)
            full = f"{folder}/{pattern}" if folder else pattern
            found = [file for file in self.scopes.sources.tree.files if full and fnmatch.fnmatchcase(file, full)]
            for file in found:
                self.take_all(self.scopes.load(file), guards)
            if not found and inner is argument:
                self.scope.missing.append((pattern or ast.unparse(argument), self.place(argument)))

    def import_from(self, node: ast.ImportFrom, guards: tuple[Guard, ...]) -> None:
        file = self.scopes.target(self.scope, node)
        for alias in node.names:
            if alias.name == "*":
                if file and file != self.scope.file:
                    self.take_all(self.scopes.load(file), guards)
                elif node.level or not file:
                    self.scope.missing.append((f"{'.' * node.level}{node.module or ''}", self.place(node)))
            elif file:
                name = alias.asname or alias.name
                self.scope.imported[name] = (file, alias.name)
                self.helpers_of(self.scopes.submodule(self.scope, node, alias.name), name)
                reading = helpers(self.scopes.sources.parse(file))
                if alias.name in reading:
                    known = Dialect(helpers={name: reading[alias.name]})
                    self.scope.dialect = self.scope.dialect.merged(known)

    def helpers_of(self, file: str | None, name: str) -> None:
        """Know the functions of another module that read variables, as `name.function`."""
        found = helpers(self.scopes.sources.parse(file)) if file else {}
        if found:
            known = Dialect(helpers={f"{name}.{each}": positional for each, positional in found.items()})
            self.scope.dialect = self.scope.dialect.merged(known)

    def take_all(self, other: Scope, guards: tuple[Guard, ...]) -> None:
        """Take over the names of another module, as `from it import *` does."""
        for known in other.assignments:
            self.scope.assignments.append(
                Assignment(
                    known.name, known.path, known.node, known.place, (*guards, *known.guards), known.scope, known.merges
                )
            )
        self.scope.files += [file for file in other.files if file not in self.scope.files]
        self.scope.imported = {**other.imported, **self.scope.imported}
        self.scope.missing += other.missing
        self.scope.dialect = self.scope.dialect.merged(other.dialect)

    def place(self, node: ast.AST) -> Place:
        return Place(self.scope.file, getattr(node, "lineno", 0))
