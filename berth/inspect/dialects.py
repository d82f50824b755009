"""Find out what the names of a module mean where it reads environment variables: its imports, aliases and helpers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from berth.inspect.environment_reads import Dialect
from berth.inspect.python_source import dotted, keyword

ENVIRON = re.compile(r"(^|\.)(environ|getenv|environ\.get|config|env)$")


def dialect(tree: ast.Module) -> Dialect:
    """Return what the names of a module mean, from its imports and its assignments at any depth."""
    readers: set[str] = set()
    mappings: set[str] = set()
    schema: dict[str, ast.expr | None] = {}
    is_open = False
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            _name_values(node)
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
                is_open = is_open or any(argument.arg is None for argument in node.value.keywords)
    return Dialect(frozenset(readers), frozenset(mappings), schema, is_open, helpers(tree))


def helpers(tree: ast.Module) -> dict[str, bool]:
    """Return the functions of a module that read the variable of which they are given the name, and of each whether its
    second argument is the default."""
    found: dict[str, bool] = {}
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef) or not function.args.args:
            continue
        first, *others = (argument.arg for argument in function.args.args)
        for node in ast.walk(function):
            key: ast.expr | None = None
            if isinstance(node, ast.Subscript) and ENVIRON.search(dotted(node)):
                key = node.slice
            elif isinstance(node, ast.Call) and node.args and ENVIRON.search(dotted(node)):
                key = node.args[0]
            if isinstance(key, ast.Name) and key.id == first:
                found[function.name] = bool(others) and "env" not in others[0] and "name" not in others[0]
    return found


def _name_values(node: ast.ClassDef) -> None:
    """Give the values of a class of django-configurations the names that they have by default: those of attributes."""
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            target, call = statement.targets[0], statement.value
            owner, _, last = dotted(call.func).rpartition(".")
            is_value = owner == "values" and last.endswith("Value") and keyword(call, "environ_name") is None
            if isinstance(target, ast.Name) and is_value:
                name = "DATABASE_URL" if last == "DatabaseURLValue" else target.id
                call.keywords.append(ast.keyword(arg="environ_name", value=ast.Constant(name)))


def _is_environ(node: ast.expr) -> bool:
    text = dotted(node)
    if isinstance(node, ast.Call) and text == "dict" and node.args:
        text = dotted(node.args[0])
    return text in {"os.environ", "environ", "os.environ.copy", "environ.copy"}


def _reading(node: ast.ImportFrom) -> Iterator[str]:
    module = node.module or ""
    is_theirs = module in {"decouple", "starlette.config"} or module.rpartition(".")[2] in {
        "env",
        "envs",
        "environment",
    }
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
