"""Find manage.py, the settings module of each of its ways in, and the folders on Python's path."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from berth.inspect import interfaces
from berth.inspect.evaluation import Evaluator
from berth.inspect.model import Alternative, Certainty, Fact, Place
from berth.inspect.python_source import Sources, calls, dotted, literal, module_name
from berth.inspect.scope import Scope, Scopes
from berth.inspect.tree import is_test, parent

SETTINGS = "DJANGO_SETTINGS_MODULE"
CONFIGURATION = "DJANGO_CONFIGURATION"


@dataclass(frozen=True)
class Setdefault:
    """A line that chooses a module or a class for Django, unless the environment does.

    :param others: what it chooses under conditions.
    """

    value: str
    place: Place
    others: tuple[Alternative, ...] = ()


@dataclass(frozen=True)
class Entry:
    """The ways into a Django project.

    :param manage: the file manage.py, or None.
    :param roots: the folders on Python's path, that of manage.py first.
    """

    manage: str | None
    roots: tuple[str, ...]
    facts: tuple[Fact, ...]
    development: Setdefault | None
    production: Setdefault | None
    configuration: str | None

    @property
    def folder(self) -> str:
        """The folder of manage.py, "" for the project's root."""
        return self.roots[0]


def find(sources: Sources, wanted: str = "") -> Entry:
    """Return the ways into a project; what is not found is said in the facts.

    :param wanted: the manage.py that is meant, if somebody said so.
    """
    ranked = sorted(_candidates(sources), key=lambda file: (file != wanted, *_rank(sources, file)))
    manage = ranked[0] if ranked else None
    roots = _roots(sources, manage)
    scopes = Scopes(sources, roots)
    development = _chosen(scopes, manage, SETTINGS) if manage else None
    settings = development.value if development else ""
    servers = {kind: interfaces.find(scopes, kind, settings) for kind in ("wsgi", "asgi")}
    production, facts = None, [_manage_fact(sources, ranked)]
    for kind, found in servers.items():
        facts.append(interfaces.fact(kind, found, roots))
        if found and production is None:
            production = _chosen(scopes, found[0], SETTINGS)
    configuration = _chosen(scopes, manage, CONFIGURATION) if manage else None
    facts += [_settings_fact("settings.development", development, manage, scopes)]
    facts += [_production_fact(production, development, servers, scopes)]
    if configuration:
        facts.append(Fact("django_configuration", configuration.value, configuration.place))
    name = configuration.value if configuration else None
    return Entry(manage, roots, tuple(facts), development, production, name)


def _candidates(sources: Sources) -> list[str]:
    words = ("execute_from_command_line", "DJANGO_SETTINGS_MODULE", "django", "command_line", "runpy")
    return sources.tree.holding(sources.tree.named("manage.py"), *words)


def _rank(sources: Sources, file: str) -> tuple[bool, bool, int, str]:
    """Return what sorts the candidates: real ones before those of tests and sandboxes, those that name their settings
    first, then those near the root."""
    return is_test(file), SETTINGS not in sources.tree.text(file), file.count("/"), file


def _manage_fact(sources: Sources, ranked: list[str]) -> Fact:
    if not ranked:
        return Fact("manage", None, Place(""), why="no manage.py of a Django project was found")
    real = [file for file in ranked if not is_test(file)]
    others = tuple(Alternative(file, Place(file)) for file in ranked[1:])
    certainty: Certainty = "certain" if len(real) == 1 else "guess"
    why = ""
    if len(real) > 1:
        why = f"{len(real)} projects could be meant: the one nearest to the root was taken"
    elif not real:
        why = "the only ones are of tests or of a sandbox: this may be a library"
    elif others:
        certainty, why = "likely", "the others are of tests, examples or a sandbox"
    return Fact("manage", ranked[0], Place(ranked[0]), certainty, others, why)


def _roots(sources: Sources, manage: str | None) -> tuple[str, ...]:
    """Return the folder of manage.py, and what manage.py adds to Python's path below it."""
    if manage is None:
        return ("", "src") if any(file.startswith("src/") for file in sources.tree.files) else ("",)
    folder = parent(manage)
    roots = [folder]
    for call in calls(sources.parse(manage)):
        if dotted(call.func) in {"sys.path.append", "sys.path.insert"}:
            words = [text for node in ast.walk(call) if (text := literal(node if isinstance(node, ast.expr) else None))]
            roots += [f"{folder}/{word}".strip("/") for word in words]
    roots.append(f"{folder}/src".strip("/"))
    known = {root for root in roots if any(file.startswith(f"{root}/") or not root for file in sources.tree.files)}
    return tuple(dict.fromkeys(root for root in roots if root in known))


def _chosen(scopes: Scopes, file: str, variable: str) -> Setdefault | None:
    """Return what a file sets a variable to, or a file that it imports or runs does; one hop, no more."""
    found = _in_file(scopes, file, variable)
    if found:
        return found
    for hop in _hops(scopes, file):
        if found := _in_file(scopes, hop, variable):
            return found
    return None


def _hops(scopes: Scopes, file: str) -> Iterator[str]:
    tree = scopes.sources.parse(file)
    scope = Scope(file, scopes.load(file).dialect)
    for node in ast.walk(tree):
        found = None
        if isinstance(node, ast.ImportFrom):
            found = scopes.target(scope, node)
            inner = [scopes.sources.find(f"{node.module}.{alias.name}", scopes.roots) for alias in node.names]
            yield from (hop for hop in inner if hop)
        elif isinstance(node, ast.Import):
            hops = [scopes.sources.find(alias.name, scopes.roots) for alias in node.names]
            yield from (hop for hop in hops if hop)
        elif isinstance(node, ast.Call) and dotted(node.func).endswith("run_module") and node.args:
            module = literal(node.args[0]) or ""
            found = scopes.sources.find(f"{module}.__main__", scopes.roots)
        if found:
            yield found


def _in_file(scopes: Scopes, file: str, variable: str) -> Setdefault | None:
    if variable not in scopes.sources.tree.text(file):
        return None
    scope = scopes.load(file, functions=True)
    for node in ast.walk(scopes.sources.parse(file)):
        value = _value_set(node, variable)
        if value is not None:
            known = [each for each in Evaluator(scopes).possible(value, scope) if each.text]
            if known:
                place = Place(file, value.lineno)
                others = [Alternative(each.text, place, " and ".join(each.conditions)) for each in known[1:]]
                return Setdefault(known[0].text or "", place, tuple(others))
    return None


def _value_set(node: ast.AST, variable: str) -> ast.expr | None:
    if isinstance(node, ast.Call) and dotted(node.func).endswith("setdefault") and len(node.args) == 2:
        return node.args[1] if literal(node.args[0]) == variable else None
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        return node.value if literal(node.targets[0].slice) == variable else None
    return None


def _settings_fact(name: str, chosen: Setdefault | None, manage: str | None, scopes: Scopes) -> Fact:
    if chosen is None:
        where = manage or ""
        return Fact(name, None, Place(where), "guess", _lookalikes(scopes), "no file says which settings are meant")
    if scopes.sources.find(chosen.value, scopes.roots) is None:
        why = "there is no such module in the project: it may be made by hand, or ignored by git"
        return Fact(name, chosen.value, chosen.place, "guess", (*chosen.others, *_lookalikes(scopes)), why)
    outright = _assigned(scopes, chosen)
    certainty: Certainty = "likely" if chosen.others or "{}" in chosen.value else "certain"
    if outright and manage is not None:
        return Fact(name, chosen.value, chosen.place, "guess", (*chosen.others, *outright), "another file overrules it")
    return Fact(name, chosen.value, chosen.place, certainty, chosen.others)


def _assigned(scopes: Scopes, chosen: Setdefault) -> tuple[Alternative, ...]:
    """Return the settings that other files of the project set outright, which no default can overrule."""
    tree = scopes.sources.tree
    found: dict[str, Alternative] = {}
    for file in tree.holding((file for file in tree.below("", "*.py") if not is_test(file)), SETTINGS):
        for node in ast.walk(scopes.sources.parse(file)):
            value = _value_set(node, SETTINGS) if isinstance(node, ast.Assign) else None
            name = literal(value)
            if value is None or not name or name == chosen.value:
                continue
            # One that is not the project's is left from a copied example.
            if scopes.sources.find(name, scopes.search):
                place = Place(file, value.lineno)
                found.setdefault(name, Alternative(name, place, "set there outright, whatever the default is"))
    return tuple(found.values())


def _lookalikes(scopes: Scopes) -> tuple[Alternative, ...]:
    tree = scopes.sources.tree
    files = [
        file
        for file in tree.below(scopes.roots[0], "*.py")
        if "settings" in file.rpartition("/")[2] or parent(file).endswith("settings")
    ]
    found = tree.holding(files, "INSTALLED_APPS", "DATABASES")
    return tuple(Alternative(module_name(file, scopes.roots[0]), Place(file)) for file in found[:8])


def _production_fact(
    production: Setdefault | None, development: Setdefault | None, servers: dict[str, list[str]], scopes: Scopes
) -> Fact:
    name = "settings.production"
    if production is not None:
        fact = _settings_fact(name, production, None, scopes)
        said = [_chosen(scopes, file, SETTINGS) for files in servers.values() for file in files]
        rivals = {each.value: Alternative(each.value, each.place) for each in said if each}
        rivals.pop(production.value, None)
        if rivals:
            return Fact(name, fact.value, fact.origin, "likely", (*fact.alternatives, *rivals.values()), fact.why)
        return fact
    if development is None:
        return Fact(name, None, Place(""), "guess", _lookalikes(scopes), "no file says which settings are meant")
    why = "neither wsgi.py nor asgi.py names any: those of manage.py"
    outright = _assigned(scopes, development)
    return Fact(name, development.value, development.place, "guess" if outright else "likely", outright, why)
