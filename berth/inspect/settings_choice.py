"""Weigh what manage.py and wsgi.py say of the settings against what the project's other files say."""

from __future__ import annotations

import re
from dataclasses import dataclass

from berth.inspect.entry import SETTINGS, Entry
from berth.inspect.model import Alternative, Certainty, Fact, Place
from berth.inspect.python_source import module_name
from berth.inspect.samples import Sample, Samples
from berth.inspect.scope import Scope, Scopes
from berth.inspect.settings_classes import read_classes
from berth.inspect.tree import parent

DEVELOPMENT = re.compile(r"(^|[._])(dev|develop|development|local|debug)($|[._])")
PRODUCTION = re.compile(r"(^|[._])(prod|production|deploy|deployment|live|docker)($|[._])")
TEST = re.compile(r"(^|[._-])(tests?|testing|unittests?|ci|e2e)($|[._-])")


@dataclass(frozen=True)
class Choice:
    """A settings module, with its names.

    :param scope: None when the module is not there, or nothing says which one is meant.
    """

    fact: Fact
    scope: Scope | None
    configuration: str | None = None


def choose(entry: Entry, scopes: Scopes, samples: Samples) -> tuple[Choice, Choice]:
    """Return the settings for development and those for production."""
    facts = {fact.name: fact for fact in entry.facts}
    said = [sample for sample in samples.of(SETTINGS) if scopes.sources.find(sample.value, scopes.roots)]
    made = []
    for name in ("settings.development", "settings.production"):
        fact = _weighed(facts[name], scopes, said)
        made.append(_loaded(fact, scopes, entry.configuration))
    return made[0], made[1]


def _weighed(fact: Fact, scopes: Scopes, said: list[Sample]) -> Fact:
    is_production = fact.name.endswith("production")
    rivals = _rivals(fact, scopes, said, is_production)
    given = str(fact.value or "")
    usable = _holds_settings(scopes, given)
    is_better = bool(rivals and rivals[0].why) and not DEVELOPMENT.search(str(rivals[0].value))
    is_better = is_better and not PRODUCTION.search(given)
    fits = bool(given) and usable and not (is_production and rivals and (DEVELOPMENT.search(given) or is_better))
    if fits or not rivals:
        if fact.value is not None and not usable and fact.certainty != "guess":
            return Fact(fact.name, fact.value, fact.origin, "guess", rivals, f"{given} assigns no INSTALLED_APPS")
        strong = [rival for rival in rivals if rival.why]
        certainty: Certainty = "likely" if strong and fact.certainty == "certain" else fact.certainty
        return Fact(fact.name, fact.value, fact.origin, certainty, (*fact.alternatives, *rivals), fact.why)
    best = rivals[0]
    first = (Alternative(given, fact.origin, "the default of the files that start Django"),) if given else ()
    reason = "holds no settings"
    if usable:
        reason = "looks like one for development" if DEVELOPMENT.search(given) else "is only the default"
    why = f"{given} {reason}" if given else "no file that starts Django names any"
    alternatives = (*first, *rivals[1:])
    return Fact(fact.name, best.value, best.origin, "likely" if best.why else "guess", alternatives, why)


def _rivals(fact: Fact, scopes: Scopes, said: list[Sample], is_production: bool) -> tuple[Alternative, ...]:
    """Return the other modules that files set, and those whose names fit; what fits best comes first."""
    found: dict[str, Alternative] = {}
    ranked = sorted(said, key=lambda sample: _distance(sample, is_production))
    for sample in ranked:
        if sample.value != fact.value and sample.kind != "ci" and not TEST.search(sample.value):
            found.setdefault(sample.value, Alternative(sample.value, sample.place, f"set in {sample.place.file}"))
    wanted = PRODUCTION if is_production else DEVELOPMENT
    for module, file in _neighbours(scopes, str(fact.value or "")):
        if wanted.search(module.rpartition(".")[2]) and module != fact.value:
            found.setdefault(module, Alternative(module, Place(file)))
    unfitting = DEVELOPMENT if is_production else PRODUCTION
    return tuple(sorted(found.values(), key=lambda rival: bool(unfitting.search(str(rival.value)))))


def _distance(sample: Sample, is_production: bool) -> tuple[int, int, int]:
    """Return what sorts the samples: a fitting name, then a fitting file."""
    fitting, unfitting = (PRODUCTION, DEVELOPMENT) if is_production else (DEVELOPMENT, PRODUCTION)
    kinds = ("dockerfile", "compose", "env") if is_production else ("compose", "env", "dockerfile")
    name = 0 if fitting.search(sample.value) else 2 if unfitting.search(sample.value) else 1
    kind = kinds.index(sample.kind) if sample.kind in kinds and not sample.place.file.endswith(".json") else 3
    return name, kind, len(sample.place.file)


def _neighbours(scopes: Scopes, module: str) -> list[tuple[str, str]]:
    """Return the modules in the package of a settings module, or below it, with their files."""
    tree = scopes.sources.tree
    file = scopes.sources.find(module, scopes.roots) if module else None
    if file is None:
        files = [file for file in tree.below(scopes.roots[0], "*.py") if parent(file).endswith("settings")]
    else:
        name = file.rpartition("/")[2]
        patterns = ("*.py",) if name == "__init__.py" or parent(file).endswith("settings") else ("*settings*.py",)
        files = tree.beside(parent(file), *patterns)
    found = []
    for each in files:
        root = next((root for root in scopes.roots[::-1] if not root or each.startswith(f"{root}/")), None)
        if root is not None and not each.endswith("__init__.py") and each.count(".") == 1:
            found.append((module_name(each, root), each))
    return found


def _holds_settings(scopes: Scopes, module: str) -> bool:
    file = scopes.sources.find(module, scopes.roots) if module else None
    if file is None:
        return False
    scope = scopes.load(file)
    if scope.of("INSTALLED_APPS") or scope.of("DATABASES"):
        return True
    return any("INSTALLED_APPS" in scopes.sources.tree.text(each) for each in scope.files) or _inherits(scopes, scope)


def _inherits(scopes: Scopes, scope: Scope) -> bool:
    names = [name for name in scope.imported if name.endswith(("Settings", "Base", "Configuration", "Common"))]
    return bool(names)


def _loaded(fact: Fact, scopes: Scopes, configuration: str | None) -> Choice:
    file = scopes.sources.find(str(fact.value), scopes.roots) if fact.value else None
    if file is None:
        return Choice(fact, None)
    scope = scopes.load(file)
    if scope.class_name is None and not scope.of("INSTALLED_APPS"):
        scope.class_name = read_classes(scopes, scope, configuration)
    return Choice(fact, scope, scope.class_name)
