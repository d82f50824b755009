"""Read what the settings' DATABASES say of the database `default`, branch by branch."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from berth.inspect.database_choice import Database, kind
from berth.inspect.environment_reads import reads
from berth.inspect.evaluation import UNKNOWN, Evaluator, Known
from berth.inspect.model import Place, Value
from berth.inspect.python_source import dotted, keyword
from berth.inspect.scope import Assignment, Scope

FIELDS = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")
SYNONYMS = {
    "dbname": "NAME", "database": "NAME", "db_name": "NAME", "role": "USER", "username": "USER", "passwd": "PASSWORD",
    "hostname": "HOST",
}  # fmt: skip
ENDINGS = (
    ("URL", re.compile(r"UR[LI]$")),
    ("ENGINE", re.compile(r"ENGINE$|BACKEND$")),
    ("HOST", re.compile(r"HOST(NAME)?$")),
    ("PORT", re.compile(r"PORT$")),
    ("USER", re.compile(r"USER(NAME)?$")),
    ("NAME", re.compile(r"(NAME|DB|DATABASE)$")),
    ("PASSWORD", re.compile(r"(PASS|PASSWORD|PWD|PASSWD)$")),
)


def described(scope: Scope, evaluator: Evaluator) -> Iterator[Database]:
    """Give the databases that the settings may use, each with its conditions."""
    assignments = scope.live("DATABASES")
    parts = [each for each in scope.of("DATABASES") if each.path or each.merges]
    for assignment in assignments:
        inner = _default(assignment, evaluator)
        if inner is not None:
            yield from _of_node(inner, assignment, evaluator, parts)
    for part in parts:
        if part.path in {("default",), ("*",)} and not isinstance(part.node, ast.Constant):
            yield from _of_node(part.node, part, evaluator, [])


def aliases(scope: Scope, evaluator: Evaluator) -> list[str]:
    """Return the names of all databases, as far as they can be read."""
    found: list[str] = []
    for assignment in scope.of("DATABASES"):
        if isinstance(assignment.node, ast.Dict) and not assignment.path:
            names = [evaluator.first(key, assignment.scope).text for key in assignment.node.keys if key is not None]
            found += [name for name in names if name]
        elif assignment.path and assignment.path[0] != "*":
            found.append(assignment.path[0])
    return list(dict.fromkeys(found))


def _default(assignment: Assignment, evaluator: Evaluator) -> ast.expr | None:
    """Return the expression of the database `default`."""
    node, scope = assignment.node, assignment.scope
    for _ in range(4):
        live = scope.live(node.id) if isinstance(node, ast.Name) else []
        if live:
            node, scope = live[0].node, live[0].scope
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None and evaluator.first(key, scope).value == "default":
                return value
        firsts = [value for key, value in zip(node.keys, node.values, strict=True) if key is not None]
        return firsts[0] if len(firsts) == 1 else None
    if isinstance(node, ast.Call) and dotted(node.func) == "dict":
        return keyword(node, "default")
    return node if isinstance(node, (ast.Call, ast.Subscript)) else None


def _of_node(node: ast.expr, origin: Assignment, evaluator: Evaluator, parts: list[Assignment]) -> Iterator[Database]:
    scope = origin.scope
    conditions = tuple(text for guard in origin.guards if (text := guard.text()))
    if isinstance(node, ast.Name):
        live = scope.live(node.id)
        if not live and node.id in scope.imported:
            file, original = scope.imported[node.id]
            live = evaluator.scopes.load(file).live(original)
        for each in live:
            for made in _of_node(each.node, each, evaluator, parts):
                yield _under(made, conditions)
        return
    if isinstance(node, ast.IfExp):
        test = ast.unparse(node.test)
        for branch, words in ((node.body, test), (node.orelse, f"not ({test})")):
            for made in _of_node(branch, origin, evaluator, parts):
                yield _under(made, (words,))
        return
    fields = dict(_fields(node, evaluator, scope))
    url = _url(node, evaluator, scope) if not fields.get("NAME") else None
    for part in parts:
        name = part.path[1] if len(part.path) == 2 else ""
        # Below a condition it counts where nothing else says anything.
        counts = not part.guards or (name != "ENGINE" and (url is not None or name not in fields))
        if name in FIELDS and counts:
            fields[name] = evaluator.first(part.node, part.scope)
    place = Place(origin.place.file, node.lineno)
    if url is not None:
        engine = kind(url.text)
        variables = {"URL": list(url.variables)} if url.variables else {}
        variables.update({name: list(known.variables) for name, known in fields.items() if known.variables})
        form = "url" if variables else "fixed"
        is_text = _is_text(node, scope)
        yield Database(place, engine, "", form, variables, {}, conditions, None, is_text)
    elif fields:
        yield _separate(fields, place, conditions)
    elif isinstance(node, ast.Call):
        variables = _of_function(node, evaluator, scope)
        if variables:
            yield Database(place, None, "", "computed", variables, {}, conditions)
        else:
            yield from _returned(node, evaluator, scope, conditions)


def _of_function(node: ast.Call, evaluator: Evaluator, scope: Scope) -> dict[str, list[str]]:
    """Return the variables that a function of the project reads, by the field that the end of the name speaks of."""
    found: dict[str, list[str]] = {}
    for each, home in _functions(node, evaluator, scope):
        for read in reads(each, home.dialect):
            part = next((part for part, pattern in ENDINGS if pattern.search(read.name.upper())), "OTHER")
            found.setdefault(part, [])
            found[part] += [read.name] if read.name not in found[part] else []
    return found


def _returned(node: ast.Call, evaluator: Evaluator, scope: Scope, conditions: tuple[str, ...]) -> Iterator[Database]:
    """Give the database that a function makes of what the module has read: the literal that most variables drive."""
    made = []
    for each, home in _functions(node, evaluator, scope):
        for inner in ast.walk(each):
            if isinstance(inner, ast.Dict) and (fields := dict(_fields(inner, evaluator, home))).get("ENGINE"):
                made.append(_separate(fields, Place(home.file, inner.lineno), conditions))
    driven = [each for each in made if each.variables]
    yield from sorted(driven, key=lambda each: -len(each.variables))[:1]


def _functions(node: ast.Call, evaluator: Evaluator, scope: Scope) -> Iterator[tuple[ast.FunctionDef, Scope]]:
    """Give the function of the project that is called, with the names around it."""
    name = dotted(node.func)
    home = scope
    if name in scope.imported:
        file, name = scope.imported[name]
        home = evaluator.scopes.load(file)
    for each in ast.walk(evaluator.scopes.sources.parse(home.file)):
        if isinstance(each, ast.FunctionDef) and each.name == name:
            yield each, home


def _is_text(node: ast.expr, scope: Scope) -> bool:
    """Tell whether an expression is the text of a URL: a plain read, by nothing that takes URLs apart."""
    read = scope.dialect.read(node)
    name = dotted(node)
    return read is not None and not read.is_database and name.endswith(("environ", "environ.get", "getenv", ".str"))


def _under(made: Database, conditions: tuple[str, ...]) -> Database:
    return replace(made, conditions=tuple(dict.fromkeys((*conditions, *made.conditions))))


def _separate(fields: dict[str, Known], place: Place, conditions: tuple[str, ...]) -> Database:
    variables = {name: list(known.variables) for name, known in fields.items() if known.variables}
    # A password's default is theirs to keep.
    defaults: dict[str, Value] = {
        name: known.value
        for name, known in fields.items()
        if name not in {"PASSWORD", "ENGINE"} and isinstance(known.value, (str, int))
    }
    # It is there, whatever it is: not left to what the driver reads by itself.
    unread = (name for name, known in fields.items() if known.value is UNKNOWN and name not in variables)
    defaults |= {name: "{}" for name in unread if name not in {"PASSWORD", "ENGINE"}}
    engine = fields.get("ENGINE", Known())
    return Database(
        place,
        kind(engine.text),
        engine.text or "",
        "separate" if variables else "fixed",
        variables,
        defaults,
        conditions,
    )


def _fields(node: ast.expr, evaluator: Evaluator, scope: Scope) -> Iterator[tuple[str, Known]]:
    """Give the fields of a dict literal, or of a call whose arguments are named like fields."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None and isinstance(value, ast.Name):
                for each in scope.live(value.id)[:1]:
                    yield from _fields(each.node, evaluator, each.scope)
                continue
            name = evaluator.first(key, scope).value if key is not None else None
            if name in FIELDS:
                yield name, _best(evaluator.possible(value, scope))
    elif isinstance(node, ast.Call):
        inner = node.func.value if isinstance(node.func, ast.Attribute) else node
        for call in (node, inner):
            for argument in call.keywords if isinstance(call, ast.Call) else ():
                name = (argument.arg or "").lower()
                name = SYNONYMS.get(name, name.upper())
                if name in FIELDS and "url" not in dotted(node.func).lower():
                    yield name, _best(evaluator.possible(argument.value, scope))


def _best(possible: list[Known]) -> Known:
    variables = tuple(dict.fromkeys(name for known in possible for name in known.variables))
    return Known(possible[0].value, variables, possible[0].conditions)


def _url(node: ast.expr, evaluator: Evaluator, scope: Scope) -> Known | None:
    """Return the URL that an expression makes a database of, or None when it makes none of a URL."""
    if isinstance(node, ast.Dict):
        inner = [value for key, value in zip(node.keys, node.values, strict=True) if key is None]
        made = [known for value in inner if (known := _url(value, evaluator, scope))]
        return made[0] if made else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _url(node.left, evaluator, scope) or _url(node.right, evaluator, scope)
    read = scope.dialect.read(node)
    if read is not None:
        return _best(evaluator.possible(node, scope))
    if isinstance(node, ast.Call):
        name = dotted(node.func)
        if name.endswith(("dj_database_url.parse", "db_url_config", "database_url.parse")) or name == "parse":
            return _best(evaluator.possible(node.args[0], scope)) if node.args else None
        variables = evaluator.variables(node, scope)
        return Known(UNKNOWN, variables) if variables and "url" in name.lower() else None
    return None
