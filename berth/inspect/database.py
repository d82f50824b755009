"""Say which database a project uses, and which variables drive it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from berth.inspect.database_choice import Database, kind
from berth.inspect.databases_setting import aliases, described
from berth.inspect.evaluation import Evaluator
from berth.inspect.locked import Packages
from berth.inspect.model import Alternative, Certainty, Fact, Place
from berth.inspect.samples import Samples
from berth.inspect.scope import Scope

DRIVERS = {
    "psycopg": "postgresql", "psycopg2": "postgresql", "psycopg2-binary": "postgresql", "psycopg-binary": "postgresql",
    "mysqlclient": "mysql", "pymysql": "mysql",
}  # fmt: skip


def find(name: str, scope: Scope, evaluator: Evaluator, samples: Samples, packages: Packages) -> list[Fact]:
    """Return the fact of that name, and the switches that choose between databases.

    :param name: `database`, or `database.development`.
    """
    found = list(described(scope, evaluator))
    if not found:
        return [Fact(name, None, Place(scope.file), "guess", (), "the settings assign no DATABASES that can be read")]
    ranked = sorted(found, key=_rank)
    main, certainty, why = _with_engine(ranked[0], samples, packages)
    rivals = tuple(Alternative(each.value(), each.place, " and ".join(each.conditions)) for each in ranked[1:])
    when = " and ".join(main.conditions)
    if rivals or when:
        certainty = "guess" if certainty == "guess" else "likely"
        said = f"{len(found)} are described; this one when: {when or 'always'}" if rivals else f"only when: {when}"
        why = f"{said}; {why}" if why else said
    if certainty == "certain" and main.form == "fixed" and scope.missing:
        certainty, why = "likely", f"{scope.missing[-1][0]}, which is imported and not there, may replace it"
    if main.form == "computed":
        certainty, why = "guess", "a function makes it: what it reads is listed by the names of the variables"
    elif main.form == "fixed" and "NAME" not in main.defaults:
        certainty, why = "guess", "only a part of it is to be read from the settings"
    if main.is_text:
        certainty, why = "guess", "the default database is a text there, no dict: Django refuses it as it stands"
    facts = [Fact(name, main.value(), main.place, certainty, rivals, why), *_switches(name, scope, evaluator)]
    others = [alias for alias in aliases(scope, evaluator) if alias != "default"]
    if others:
        facts.append(Fact(f"{name}.aliases", others, main.place, "likely", (), "databases besides the default one"))
    return facts


def _rank(found: Database) -> tuple[bool, bool, bool, int]:
    """Return what sorts databases: those that variables drive first, PostgreSQL before others, SQLite last."""
    order = ("postgresql", None, "mysql", "oracle", "mssql", "sqlite")
    # A variable that names the file alone leads nowhere else.
    is_file = found.engine == "sqlite" and not {"URL", "ENGINE", "HOST"} & found.variables.keys()
    return is_file, found.form == "fixed", found.engine is None, order.index(found.engine)


def _with_engine(found: Database, samples: Samples, packages: Packages) -> tuple[Database, Certainty, str]:
    """Return a database with its engine, where a variable's value decides it, how sure that is, and why."""
    names = [name for each in ("URL", "ENGINE") for name in found.variables.get(each, ())]
    if not names and found.engine:
        return found, "certain", ""
    said = [(engine, sample) for name in names for sample in samples.of(name) if (engine := kind(sample.value))]
    if any(engine == found.engine for engine, _ in said) and found.engine != "sqlite":
        return found, "certain", ""
    deployed = [(engine, sample) for engine, sample in said if sample.kind != "ci" and engine != "sqlite"]
    for engine, sample in sorted(deployed, key=lambda each: each[0] != "postgresql"):
        reason = f"{sample.place} gives {sample.name} such a value"
        others = sorted({other for other, _ in deployed} - {engine})
        if others:
            reason = f"{reason}, other files one of {' and '.join(others)}"
        return _made(found, engine), "likely", _why(found, reason)
    drivers = [(driver, engine) for driver, engine in DRIVERS.items() if driver in packages]
    if found.engine not in {None, "sqlite"} and (not drivers or found.engine in dict(drivers).values()):
        if found.form == "separate" and found.engine != "postgresql" and names:
            return found, "likely", f"unless {names[0]} says another"
        return found, "certain", ""
    if drivers:
        place = packages[drivers[0][0]].place
        return _made(found, drivers[0][1]), "likely", _why(found, f"{place} brings the driver {drivers[0][0]}")
    if found.engine:
        return found, "likely", f"unless {names[0]} says another"
    return found, "guess", "the engine is not to be read from the settings"


def _made(found: Database, engine: str) -> Database:
    return replace(found, engine=engine, default_engine=found.engine if found.engine != engine else None)


def _why(found: Database, reason: str) -> str:
    return f"{reason}; without it the project runs on {found.engine}" if found.engine else reason


def _switches(name: str, scope: Scope, evaluator: Evaluator) -> Iterator[Fact]:
    """Give the variables that choose between databases, and the condition on them."""
    seen = set()
    partial = [each for each in scope.of("DATABASES") if each.path]
    for assignment in [*scope.live("DATABASES"), *partial]:
        for guard in assignment.guards:
            if guard.test is None or guard.place in seen or assignment.merges or len(assignment.path) > 1:
                continue
            seen.add(guard.place)
            for variable in evaluator.variables(guard.test, assignment.scope):
                value = {"variable": variable, "condition": guard.condition()}
                yield Fact(f"{name}.switch", value, guard.place)
