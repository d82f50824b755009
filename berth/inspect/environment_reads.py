"""Recognise where Python code reads an environment variable, in the styles of all common libraries."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from berth.inspect.python_source import dotted, keyword, literal

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")
URL_READERS = re.compile(r"(?:dj_)?(?P<subject>db|cache|email|search|channels)(?:_url)?$")
"""Methods of django-environ and environs that take a URL apart."""
CASTS = frozenset({
    "str", "bool", "int", "float", "list", "dict", "json", "tuple", "bytes", "Csv", "set", "Decimal",
})  # fmt: skip
NOT_READS = frozenset({
    "read_env", "setdefault", "update", "pop", "prefixed", "read_envfile", "copy", "items", "keys", "seal",
    "add_parser", "startswith", "endswith",
})  # fmt: skip


@dataclass(frozen=True)
class Read:
    """One read of a variable.

    :param default: the expression used when it is not set; None when the read fails then.
    :param optional: the read gives None, or an empty text, when it is not set.
    :param is_database: the value is the URL of a database.
    :param is_sure: a library that is known reads it; of a helper of the project nobody knows what it does without a
        value.
    """

    name: str
    line: int
    default: ast.expr | None = None
    optional: bool = False
    is_database: bool = False
    is_sure: bool = True


@dataclass(frozen=True)
class Dialect:
    """What the names of one module mean.

    :param readers: local names that are functions reading variables, by import: decouple's `config`, say.
    :param mappings: local names that are `os.environ` or a copy of it.
    :param schema: defaults that django-environ's `Env(NAME=(cast, default))` gives.
    :param helpers: local names of functions of the project that read the variable of which they are given the name,
        and whether the second argument is the default.
    :param is_open: more of the schema comes from elsewhere, as `Env(**defaults)` does.
    """

    readers: frozenset[str] = frozenset()
    mappings: frozenset[str] = frozenset()
    schema: Mapping[str, ast.expr | None] = field(default_factory=dict)
    is_open: bool = False
    helpers: Mapping[str, bool] = field(default_factory=dict)

    def merged(self, other: Dialect) -> Dialect:
        """Return both as one, as after `from other import *`."""
        return Dialect(
            self.readers | other.readers,
            self.mappings | other.mappings,
            {**other.schema, **self.schema},
            self.is_open or other.is_open,
            {**other.helpers, **self.helpers},
        )

    def read(self, node: ast.AST) -> Read | None:
        """Return what an expression reads, or None when it reads no variable itself."""
        if isinstance(node, ast.Subscript):
            if not isinstance(node.ctx, ast.Load):
                return None
            name = literal(node.slice)
            return Read(name, node.lineno) if name and self._is_mapping(dotted(node.value)) else None
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            name = literal(node.left)
            is_mapping = self._is_mapping(dotted(node.comparators[0]))
            return Read(name, node.lineno, optional=True) if name and is_mapping else None
        return self._call(node) if isinstance(node, ast.Call) else None

    def _is_mapping(self, name: str) -> bool:
        return name.rpartition(".")[2] == "environ" or name in self.mappings

    def _call(self, call: ast.Call) -> Read | None:
        function = dotted(call.func)
        owner, _, last = function.rpartition(".")
        if last in NOT_READS or not function:
            return None
        if owner.endswith("_url") and last == "config":
            # dj_database_url and its sisters: django_cache_url, dj_email_url.
            subject = owner.removesuffix("_url").rpartition("_")[2].upper()
            given = literal(keyword(call, "env")) or f"{subject}_URL"
            return Read(given, call.lineno, keyword(call, "default"), True, subject == "DATABASE")
        if (named := keyword(call, "environ_name")) is not None:
            return self._configurations(call, named, last)
        if not self._is_reader(owner, last):
            return None
        name = self._name(call, owner, last)
        if not name or not NAME.match(name):
            return None
        positional = self.helpers.get(function, True)
        default = self._default(call, positional)
        if default is None and name in self.schema:
            default = self.schema[name]
        optional = last in {"get", "getenv", "get_credential"} or (name in self.schema and default is None)
        is_sure = self._is_known(owner, last) and not (self.is_open and default is None and not optional)
        match = URL_READERS.match(last) if owner else None
        return Read(
            name, call.lineno, default, optional, match is not None and match["subject"].startswith("d"), is_sure
        )

    def _configurations(self, call: ast.Call, named: ast.expr, last: str) -> Read | None:
        """Return the read of one of django-configurations' values: its first argument is the default."""
        name, prefix = literal(named), keyword(call, "environ_prefix")
        if not name:
            return None
        is_url = last == "DatabaseURLValue"
        start = "DJANGO_" if prefix is None and not is_url else f"{literal(prefix)}_" if literal(prefix) else ""
        given = call.args[0] if call.args else keyword(call, "default")
        default = None if isinstance(given, ast.Constant) and given.value is None else given
        return Read(f"{start}{name}", call.lineno, default, optional=True, is_database=is_url)

    def _is_known(self, owner: str, last: str) -> bool:
        """Tell whether it is clear what a function does when the variable is not set."""
        if self._is_mapping(owner) or last in {"getenv", "config"}:
            return True
        return (owner or last) in self.readers or owner in {"env", "environ", "os"} or (not owner and last == "env")

    def _is_reader(self, owner: str, last: str) -> bool:
        if owner and self._is_mapping(owner):
            return last == "get"
        if (f"{owner}.{last}" if owner else last) in self.helpers:
            return True
        if f"{owner}.{last}" in self.readers or last in self.readers or owner in self.readers:
            return True
        return "env" in last.lower() or "env" in owner.rpartition(".")[2].lower()

    @staticmethod
    def _name(call: ast.Call, owner: str, last: str) -> str | None:
        named = next((keyword(call, key) for key in ("name", "var", "key", "env") if keyword(call, key)), None)
        first = call.args[0] if call.args else named
        if first is None:
            match = URL_READERS.match(last) if owner else None
            subject = match["subject"].upper() if match else ""
            return f"{'DATABASE' if subject == 'DB' else subject}_URL" if subject else None
        return literal(first)

    @staticmethod
    def _default(call: ast.Call, positional: bool) -> ast.expr | None:
        given = keyword(call, "default") or keyword(call, "default_value")
        if given is not None or not positional:
            return given
        rest = [node for node in call.args[1:] if not (isinstance(node, ast.Name) and node.id in CASTS)]
        return rest[0] if rest else None


def reads(tree: ast.AST, words: Dialect) -> Iterator[Read]:
    """Give every read below a node, in no particular order."""
    return (read for read, _ in reads_with_conditions(tree, words))


def reads_with_conditions(tree: ast.AST, words: Dialect, when: str = "") -> Iterator[tuple[Read, str]]:
    """Give every read below a node, with the innermost condition under which it happens, "" for none."""
    if isinstance(tree, (ast.Call, ast.Subscript, ast.Compare)) and (found := words.read(tree)):
        yield found, when
    if isinstance(tree, (ast.If, ast.IfExp)):
        test = ast.unparse(tree.test)
        branches = ((tree.body, test), (tree.orelse, f"not ({test})"))
        yield from reads_with_conditions(tree.test, words, when)
        for branch, text in branches:
            for each in branch if isinstance(branch, list) else [branch]:
                yield from reads_with_conditions(each, words, text)
        return
    if isinstance(tree, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        when = when or f"{getattr(tree, 'name', 'a function')} is called"
    if isinstance(tree, ast.Try) and tree.handlers:
        when = when or "it can be had: a failure is caught"
    for child in ast.iter_child_nodes(tree):
        yield from reads_with_conditions(child, words, when)
