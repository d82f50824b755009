"""Work out, without running it, what an expression is worth, and which environment variables decide it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from berth.inspect.environment_reads import reads
from berth.inspect.python_source import dotted
from berth.inspect.scope import Scope, Scopes

MOST = 6
"""Possible values of one expression that are kept."""


class _Unknown:
    """Stands for a value that reading cannot tell."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Known:
    """One value that an expression may have.

    :param value: a constant, or UNKNOWN. A text may hold `{}` where a part is not known.
    :param variables: the environment variables that decide it, in the order in which they are read.
    :param conditions: when it is this one, as one reads it.
    """

    value: Any = UNKNOWN
    variables: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()

    @property
    def text(self) -> str | None:
        return self.value if isinstance(self.value, str) else None


NOTHING = Known()


class Evaluator:
    """Evaluates expressions in the scopes of a project."""

    def __init__(self, scopes: Scopes, settings: Scope | None = None) -> None:
        self.scopes = scopes
        self.settings = settings

    def first(self, node: ast.expr, scope: Scope) -> Known:
        """Return the value that an expression has when no variable is set and no condition holds."""
        return self.possible(node, scope)[0]

    def possible(self, node: ast.expr, scope: Scope, seen: tuple[int, ...] = ()) -> list[Known]:
        """Return what an expression may be worth, the value without any variable set first; never nothing."""
        if id(node) in seen or len(seen) > 30:
            return [NOTHING]
        found = self._possible(node, scope, (*seen, id(node)))
        return _distinct(found)[:MOST] or [NOTHING]

    def _possible(self, node: ast.expr, scope: Scope, seen: tuple[int, ...]) -> list[Known]:
        if isinstance(node, ast.Constant):
            return [Known(node.value)]
        if read := scope.dialect.read(node):
            if isinstance(node, ast.Compare):
                return [Known(UNKNOWN, (read.name,))]
            if read.default is None:
                return [Known(None if read.optional else UNKNOWN, (read.name,))]
            return [
                Known(each.value, _joined((read.name,), each.variables), each.conditions)
                for each in self.possible(read.default, scope, seen)
            ]
        if isinstance(node, ast.Name):
            return self._name(node.id, scope, seen)
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
            return self._concatenated(parts, scope, seen)
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Div)):
            return self._sum(node, scope, seen)
        if isinstance(node, ast.BoolOp):
            return self._either(node, scope, seen)
        if isinstance(node, ast.IfExp):
            return self._conditional(node, scope, seen)
        if isinstance(node, ast.Call):
            return self._call(node, scope, seen)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, scope, seen)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            each = [self.possible(element, scope, seen)[0] for element in node.elts]
            return [Known([known.value for known in each], _joined(*(known.variables for known in each)))]
        return [Known(UNKNOWN, self.variables(node, scope, seen))]

    def _name(self, name: str, scope: Scope, seen: tuple[int, ...]) -> list[Known]:
        found: list[Known] = []
        live = [known for known in scope.live(name) if id(known.node) not in seen]
        # What holds without a condition is what one gets with no variable set.
        for assignment in sorted(live, key=lambda known: len(known.guards)):
            conditions = tuple(text for guard in assignment.guards if (text := guard.text()))
            decisive = [self.variables(guard.test, assignment.scope, seen) for guard in assignment.guards if guard.test]
            for each in self.possible(assignment.node, assignment.scope, seen):
                found.append(
                    Known(each.value, _joined(each.variables, *decisive), _joined(conditions, each.conditions))
                )
        if not found and name in scope.imported and len(seen) < 20:
            file, original = scope.imported[name]
            return self._name(original, self.scopes.load(file), seen)
        return found

    def _attribute(self, node: ast.Attribute, scope: Scope, seen: tuple[int, ...]) -> list[Known]:
        if dotted(node.value) in {"settings", "self", "django_settings", "conf.settings"}:
            home = self.settings if dotted(node.value) != "self" and self.settings else scope
            return self._name(node.attr, home, seen)
        if dotted(node) == "dj_database_url.DEFAULT_ENV":
            return [Known("DATABASE_URL")]
        return [Known(UNKNOWN, self.variables(node, scope, seen))]

    def _concatenated(self, parts: Sequence[ast.expr], scope: Scope, seen: tuple[int, ...]) -> list[Known]:
        choices = [self.possible(part, scope, seen)[:3] for part in parts]
        found = []
        for combination in list(product(*choices))[:MOST]:
            text = "".join(_as_text(known.value) for known in combination)
            found.append(
                Known(
                    text,
                    _joined(*(known.variables for known in combination)),
                    _joined(*(known.conditions for known in combination)),
                )
            )
        return found

    def _sum(self, node: ast.BinOp, scope: Scope, seen: tuple[int, ...]) -> list[Known]:
        left, right = self.possible(node.left, scope, seen)[0], self.possible(node.right, scope, seen)[0]
        variables = _joined(left.variables, right.variables)
        if isinstance(left.value, str) and isinstance(node.op, ast.Add):
            return [Known(left.value + _as_text(right.value), variables)]
        if isinstance(left.value, list) and isinstance(right.value, list):
            return [Known([*left.value, *right.value], variables)]
        if isinstance(right.value, str):
            # The folder that it is joined to is of no interest, and nearly always computed.
            return [Known(f"{_as_text(left.value)}/{right.value}".replace("//", "/"), variables)]
        return [Known(UNKNOWN, variables)]

    def _either(self, node: ast.BoolOp, scope: Scope, seen: tuple[int, ...]) -> list[Known]:
        each = [self.possible(value, scope, seen)[0] for value in node.values]
        variables = _joined(*(known.variables for known in each))
        if isinstance(node.op, ast.Or):
            value = next((known.value for known in each if known.value is UNKNOWN or known.value), each[-1].value)
            return [Known(value, variables)]
        return [Known(UNKNOWN, variables)]

    def _conditional(self, node: ast.IfExp, scope: Scope, seen: tuple[int, ...]) -> list[Known]:
        test = self.variables(node.test, scope, seen)
        words = ast.unparse(node.test)
        otherwise = [
            Known(each.value, _joined(test, each.variables), (f"not ({words})", *each.conditions))
            for each in self.possible(node.orelse, scope, seen)
        ]
        given = [
            Known(each.value, _joined(test, each.variables), (words, *each.conditions))
            for each in self.possible(node.body, scope, seen)
        ]
        return [*otherwise, *given]

    def _call(self, node: ast.Call, scope: Scope, seen: tuple[int, ...]) -> list[Known]:
        name = dotted(node.func)
        last = name.rpartition(".")[2]
        if isinstance(node.func, ast.Attribute) and last in {"replace", "strip", "lower", "upper", "format", "rstrip"}:
            known = self.possible(node.func.value, scope, seen)[0]
            arguments = [self.possible(argument, scope, seen)[0] for argument in node.args]
            variables = _joined(known.variables, *(argument.variables for argument in arguments))
            return [Known(_method(known.value, last, [argument.value for argument in arguments]), variables)]
        if last in {"str", "int", "bool", "Path", "PurePath", "abspath", "fspath"} and len(node.args) == 1:
            return self.possible(node.args[0], scope, seen)
        if last == "join" and "path" in name and node.args:
            return self._joined_path(node, scope, seen)
        return [Known(UNKNOWN, self.variables(node, scope, seen))]

    def _joined_path(self, node: ast.Call, scope: Scope, seen: tuple[int, ...]) -> list[Known]:
        each = [self.possible(argument, scope, seen)[0] for argument in node.args]
        text = "/".join(_as_text(known.value) for known in each)
        return [Known(text, _joined(*(known.variables for known in each)))]

    def variables(self, node: ast.AST, scope: Scope, seen: tuple[int, ...] = ()) -> tuple[str, ...]:
        """Return the environment variables that an expression depends on, through names, too."""
        found = [read.name for read in reads(node, scope.dialect)]
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and len(seen) < 8:
                for known in scope.live(each.id):
                    if id(known.node) not in seen:
                        found += self.variables(known.node, known.scope, (*seen, id(known.node)))
        return _joined(found)


def _method(value: Any, name: str, arguments: list[Any]) -> Any:
    if not isinstance(value, str):
        return UNKNOWN
    if name == "format":
        # Not str.format: a text of theirs could ask it for a gigabyte of blanks.
        given = iter(arguments)
        return re.sub(r"\{\d*\}", lambda match: _as_text(next(given, UNKNOWN)), value)
    if name == "replace":
        if len(arguments) == 2 and all(isinstance(argument, str) for argument in arguments):
            return value.replace(arguments[0], arguments[1])
        return UNKNOWN
    return getattr(value, name)()


def _as_text(value: Any) -> str:
    return "{}" if value is UNKNOWN or value is None else str(value)


def _joined(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for group in groups for item in group))


def _distinct(found: list[Known]) -> list[Known]:
    kept: list[Known] = []
    for known in found:
        if all(repr(known.value) != repr(other.value) or known.variables != other.variables for other in kept):
            kept.append(known)
    return kept
