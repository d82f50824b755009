"""Recognise where Python code reads an environment variable, in the styles of all common libraries."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from berth.inspect.python_source import calls, dotted, keyword, literal

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")
URL_READERS: Mapping[str, str] = {
    "db": "DATABASE_URL",
    "db_url": "DATABASE_URL",
    "dj_db_url": "DATABASE_URL",
    "cache": "CACHE_URL",
    "cache_url": "CACHE_URL",
    "dj_cache_url": "CACHE_URL",
    "email": "EMAIL_URL",
    "email_url": "EMAIL_URL",
    "dj_email_url": "EMAIL_URL",
    "search_url": "SEARCH_URL",
    "channels": "CHANNELS_URL",
    "channels_url": "CHANNELS_URL",
}
DATABASE_READERS = frozenset({"db", "db_url", "dj_db_url"})
CASTS = frozenset("str bool int float list dict json tuple bytes Csv set Decimal".split())
NOT_READS = frozenset("read_env setdefault update pop prefixed read_envfile copy items keys seal add_parser".split())


@dataclass(frozen=True)
class Read:
    """One read of a variable.

    :param default: the expression used when it is not set; None when the read fails then.
    :param optional: the read gives None, or an empty text, when it is not set.
    :param is_database: the value is the URL of a database.
    """

    name: str
    line: int
    default: ast.expr | None = None
    optional: bool = False
    is_database: bool = False


@dataclass(frozen=True)
class Dialect:
    """What the names of one module mean.

    :param readers: local names that are functions reading variables, by import: decouple's `config`, say.
    :param mappings: local names that are `os.environ` or a copy of it.
    :param schema: defaults that django-environ's `Env(NAME=(cast, default))` gives.
    """

    readers: frozenset[str] = frozenset()
    mappings: frozenset[str] = frozenset()
    schema: Mapping[str, ast.expr | None] = field(default_factory=dict)

    def merged(self, other: Dialect) -> Dialect:
        """Return both as one, as after `from other import *`."""
        return Dialect(
            self.readers | other.readers, self.mappings | other.mappings, {**other.schema, **self.schema}
        )

    def read(self, node: ast.AST) -> Read | None:
        """Return what an expression reads, or None when it reads no variable itself."""
        if isinstance(node, ast.Subscript):
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
        if function in {"dj_database_url.config", "django_database_url.config"}:
            name = literal(keyword(call, "env")) or "DATABASE_URL"
            return Read(name, call.lineno, keyword(call, "default"), optional=True, is_database=True)
        if not self._is_reader(owner, last):
            return None
        name = self._name(call, owner, last)
        if not name or not NAME.match(name):
            return None
        default = self._default(call, function)
        if default is None and name in self.schema:
            default = self.schema[name]
        optional = last in {"get", "getenv", "get_credential"} or (name in self.schema and default is None)
        return Read(name, call.lineno, default, optional, last in DATABASE_READERS and bool(owner))

    def _is_reader(self, owner: str, last: str) -> bool:
        if owner and self._is_mapping(owner):
            return last == "get"
        if f"{owner}.{last}" in self.readers or last in self.readers or owner in self.readers:
            return True
        return "env" in last.lower() or "env" in owner.rpartition(".")[2].lower()

    @staticmethod
    def _name(call: ast.Call, owner: str, last: str) -> str | None:
        named = next((keyword(call, key) for key in ("name", "var", "key", "env") if keyword(call, key)), None)
        first = call.args[0] if call.args else named
        if first is None:
            return URL_READERS.get(last) if owner else None
        return literal(first)

    @staticmethod
    def _default(call: ast.Call, function: str) -> ast.expr | None:
        given = keyword(call, "default") or keyword(call, "default_value")
        if given is not None:
            return given
        rest = [node for node in call.args[1:] if not (isinstance(node, ast.Name) and node.id in CASTS)]
        return rest[0] if rest else None


def dialect(tree: ast.Module) -> Dialect:
    """Return what the names of a module mean, from its imports and its assignments at any depth."""
    readers: set[str] = set()
    mappings: set[str] = set()
    schema: dict[str, ast.expr | None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            readers |= set(_reading(node))
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            target = node.targets[0].id
            if _is_environ(node.value):
                mappings.add(target)
            elif isinstance(node.value, ast.Call) and dotted(node.value.func).endswith(("Env", "Config", "AppEnv")):
                if "Env" in dotted(node.value.func) or dotted(node.value.func) == "decouple.Config":
                    readers.add(target)
                schema.update(_schema(node.value))
    return Dialect(frozenset(readers), frozenset(mappings), schema)


def _is_environ(node: ast.expr) -> bool:
    text = dotted(node)
    if isinstance(node, ast.Call) and text == "dict" and node.args:
        text = dotted(node.args[0])
    return text in {"os.environ", "environ", "os.environ.copy", "environ.copy"}


def _reading(node: ast.ImportFrom) -> Iterator[str]:
    module = node.module or ""
    is_theirs = module in {"decouple", "starlette.config"} or module.rpartition(".")[2] in {"env", "envs", "environment"}
    for alias in node.names:
        if is_theirs and not alias.name[0].isupper():
            yield alias.asname or alias.name


def _schema(call: ast.Call) -> Iterator[tuple[str, ast.expr | None]]:
    for argument in call.keywords:
        if argument.arg is None or not argument.arg.isupper():
            continue
        pair = argument.value
        has_default = isinstance(pair, ast.Tuple) and len(pair.elts) == 2
        yield argument.arg, pair.elts[1] if has_default and isinstance(pair, ast.Tuple) else None


def reads(tree: ast.AST, words: Dialect) -> Iterator[Read]:
    """Give every read below a node, in no particular order."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Call, ast.Subscript, ast.Compare)) and (found := words.read(node)):
            yield found


