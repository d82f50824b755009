"""List the environment variables that the settings read, their defaults, and where the project gives them a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from berth.inspect.dialects import dialect
from berth.inspect.environment_reads import Read, reads_with_conditions
from berth.inspect.evaluation import UNKNOWN, Evaluator
from berth.inspect.model import Fact, Place, Value
from berth.inspect.samples import WITHHELD, Samples, shown
from berth.inspect.scope import Scope, Scopes
from berth.inspect.tree import is_test, parent

OWN = frozenset({"DJANGO_SETTINGS_MODULE", "PATH", "HOME", "PWD", "USER", "PYTEST_CURRENT_TEST"})


@dataclass
class Variable:
    """One variable.

    :param required: some read of it fails when it is not set.
    :param condition: when that read happens; "" when it always does.
    :param is_sure: it is clear what the reads do when it is not set.
    """

    name: str
    places: list[Place] = field(default_factory=list)
    default: Value = None
    has_default: bool = False
    required: bool = False
    condition: str | None = None
    is_sure: bool = True


def find(scopes: Scopes, settings: Sequence[Scope], more: Sequence[str], samples: Samples) -> list[Fact]:
    """Return a fact `variable.NAME` for each variable.

    :param settings: the settings modules, with all that they import.
    :param more: other files that run at the start: wsgi.py, the Celery application.
    """
    found: dict[str, Variable] = {}
    for scope in settings:
        evaluator = Evaluator(scopes, scope)
        for file in _files(scopes, scope):
            _collect(scopes, file, evaluator, scope, found)
    for file in more:
        _collect(scopes, file, Evaluator(scopes), None, found)
    return [_fact(variable, samples) for variable in sorted(found.values(), key=lambda each: each.name)]


def _files(scopes: Scopes, scope: Scope) -> Iterator[str]:
    """Give the files of the settings, and the modules beside them or named for it that they import from."""
    yield from scope.files
    homes = {parent(file) for file in scope.files}
    words = ("setting", "config", "conf", "env")
    for file, _ in scope.imported.values():
        stem = file.rpartition("/")[2].removesuffix(".py")
        if file not in scope.files and not is_test(file):
            beside = parent(file) in homes and parent(file).rpartition("/")[2] == "settings"
            if beside or any(word in stem for word in words):
                yield file


def _collect(
    scopes: Scopes, file: str, evaluator: Evaluator, settings: Scope | None, found: dict[str, Variable]
) -> None:
    scope = scopes.load(file)
    tree = scopes.sources.parse(file)
    words = dialect(tree).merged(scope.dialect)
    if settings is not None:
        words = words.merged(settings.dialect)
    for read, condition in reads_with_conditions(tree, words):
        place = Place(file, read.line)
        variable = found.setdefault(read.name, Variable(read.name))
        if place in variable.places or read.name in OWN:
            continue
        variable.places.append(place)
        _weigh(variable, read, condition, evaluator, scope)
    for name in [name for name, variable in found.items() if not variable.places]:
        del found[name]


def _weigh(variable: Variable, read: Read, condition: str, evaluator: Evaluator, scope: Scope) -> None:
    if read.default is None:
        if not read.optional:
            variable.required = True
            variable.is_sure = variable.is_sure and read.is_sure
            variable.condition = condition if variable.condition in {None, condition} else ""
        return
    value = evaluator.first(read.default, scope).value
    if not variable.has_default:
        variable.has_default = True
        variable.default = _plain(value)


def _plain(value: object) -> Value:
    if value is UNKNOWN:
        return "{}"
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value)


def _fact(variable: Variable, samples: Samples) -> Fact:
    required = variable.required and not variable.has_default
    value: dict[str, Value] = {"required": required and not variable.condition}
    if required and variable.condition:
        value["required_when"] = variable.condition
    if variable.has_default:
        value["default"] = _shown(variable.name, variable.default)
    sample = samples.best(variable.name)
    if sample:
        value["sample"] = _shown(variable.name, sample.value)
        value["sample_origin"] = str(sample.place)
    value["reads"] = [str(place) for place in variable.places]
    sure = variable.is_sure or not required
    why = "" if sure else "what reads it may have a default that is not to be read here"
    return Fact(f"variable.{variable.name}", value, variable.places[0], "certain" if sure else "guess", (), why)


def _shown(name: str, value: Value) -> Value:
    return value if shown(name, value) != WITHHELD else WITHHELD
