"""Decide how the stack's database reaches the project: which of its own variables say what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from berth.errors import Refused
from berth.init import answers as asked
from berth.init import installing
from berth.init.plan import Variable
from berth.init.reading import place, table, text, words
from berth.inspect import Fact, Facts

DRIVERS = ("psycopg", "psycopg-binary", "psycopg-c", "psycopg2", "psycopg2-binary")
FIELDS = {"NAME": "${DB_NAME}", "USER": "${DB_USER}", "PASSWORD": "${DB_PASSWORD}", "HOST": "${DB_HOST:-db}",
          "PORT": "${DB_PORT:-5432}"}  # fmt: skip
ACCOUNT = "${DB_USER}:${DB_PASSWORD}@${DB_HOST:-db}:${DB_PORT:-5432}/${DB_NAME}"
LOCAL = {"", "localhost", "127.0.0.1", "::1", "/var/run/postgresql", "/tmp"}
POSTGRESQL = re.compile(r"postg|psql|pgsql")
WITHHELD = "(withheld)"


@dataclass(frozen=True)
class Choice:
    """How the project gets its database.

    :param kind: of the database.
    :param rung: map: its own variables; settings: a new settings module of ours; none: it keeps its SQLite file.
    :param name: of the database; "" for any.
    :param user: its owner; "" for any.
    :param alias: the host name that the settings insist on; "" for none.
    :param backend: Django's backend for it.
    :param ours: the requirement of a driver that the project lacks.
    """

    kind: Literal["postgresql", "sqlite"]
    rung: Literal["map", "settings", "none"]
    variables: tuple[Variable, ...] = ()
    name: str = ""
    user: str = ""
    alias: str = ""
    backend: str = "django.db.backends.postgresql"
    driver: str = ""
    ours: str = ""
    remarks: tuple[str, ...] = field(default=())


def decide(facts: Facts, answers: Mapping[str, str]) -> Choice:
    """Return how the project gets its database.

    :raises Unanswered: the settings name one literally, and nobody has said what is wanted.
    :raises Refused: it is none that Berth has.
    """
    fact = facts.get("database.development") or facts.get("database")
    value = table(fact.value if fact else None)
    engine = text(value.get("engine"))
    reasons = list(_obstacles(value))
    drives = _can_be_postgresql(facts, value)
    wanted = answers.get("database", "")
    if engine in {"mysql", "oracle", "mssql"} and wanted != "postgresql":
        raise Refused(
            f"cannot, because {place(fact)} uses {engine}, which Berth has no server for: if the project runs on "
            "PostgreSQL as well, type `berth init --answer database=postgresql`"
        )
    if drives and not reasons and engine != "sqlite":
        return _with_driver(_mapped(facts, fact, value), facts)
    if drives and not reasons and _has_postgres(facts) and wanted != "sqlite":
        return _with_driver(_mapped(facts, fact, value), facts)
    question = _question(facts, fact, engine, reasons, drives and not reasons)
    if asked.of(answers, question) == "sqlite":
        return Choice("sqlite", "none", driver="", remarks=(_file_remark(fact),))
    if drives and not reasons:
        return _with_driver(_mapped(facts, fact, value), facts)
    return _with_driver(Choice("postgresql", "settings", backend=_backend(facts, value)), facts)


def _question(facts: Facts, fact: Fact | None, engine: str, reasons: list[str], mapped: bool) -> asked.Question:
    said = "; ".join(reasons) or f"the settings describe {engine or 'no database that can be read'}"
    how = "by its variables" if mapped else "by a new file berth_settings.py, which imports yours and changes nothing"
    default = "postgresql" if engine != "sqlite" or _has_postgres(facts) else "sqlite"
    why = f"{place(fact)}: {said}"
    if engine == "sqlite":
        brings = "the project has a driver or a server of PostgreSQL" if _has_postgres(facts) else "nothing else does"
        why = f"{why}; {brings}"
    return asked.Question(
        "database", f"Which database: postgresql, {how}, or sqlite, as it is?", default, why, ("postgresql", "sqlite")
    )


def _has_postgres(facts: Facts) -> bool:
    return any(facts.get(f"package.{name}") for name in DRIVERS) or bool(facts.get("postgres.version"))


def _can_be_postgresql(facts: Facts, value: Mapping[str, object]) -> bool:
    """Return whether variables alone can bring the settings to PostgreSQL."""
    variables = table(value.get("variables"))
    return "URL" in variables or "ENGINE" in variables or text(value.get("engine")) in {"postgresql", ""}


def _obstacles(value: Mapping[str, object]) -> Iterator[str]:
    """Give what keeps variables alone from leading the settings to the stack's server."""
    variables, defaults, libpq = (table(value.get(name)) for name in ("variables", "defaults", "libpq"))
    if not value:
        yield "no DATABASES can be read"
        return
    if words(variables.get("URL")):
        return
    if text(value.get("engine")) == "sqlite" and "ENGINE" not in variables:
        yield "it is SQLite, literally"
        return
    for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT"):
        if words(variables.get(name)) or libpq.get(name):
            continue
        literal = str(defaults.get(name, ""))
        if name != "PASSWORD" and "{" in literal:
            yield f"its {name} is not to be read"
        elif name == "HOST" and (literal in LOCAL or "." in literal):
            yield f"its HOST is {literal or 'empty'}, literally"
        elif name == "PORT" and literal not in {"", "5432"}:
            yield f"its PORT is {literal}, literally"
        elif name == "PASSWORD":
            yield "its PASSWORD stands there"
        elif name in {"NAME", "USER"} and not literal:
            yield f"its {name} is not to be read"


def _mapped(facts: Facts, fact: Fact | None, value: Mapping[str, object]) -> Choice:
    variables, defaults, libpq = (table(value.get(name)) for name in ("variables", "defaults", "libpq"))
    origin = place(fact)
    made: list[Variable] = []
    literal = {"NAME": "", "USER": "", "HOST": ""}
    if urls := words(variables.get("URL")):
        made.append(_variable(urls[0], f"{_scheme(facts, urls[0])}://{ACCOUNT}", f"the database, as {origin} reads it"))
    for name, source in FIELDS.items():
        if names := words(variables.get(name)):
            made.append(_variable(names[0], source, f"{name} of the database, as {origin} reads it"))
        elif not urls and (own := text(libpq.get(name))):
            made.append(_variable(own, source, f"{name} of the database, which the driver reads"))
        elif not urls and name in literal:
            literal[name] = str(defaults.get(name, ""))
    if names := words(variables.get("ENGINE")):
        made.append(_variable(names[0], _engine_value(facts, names[0], value), f"chosen at {origin}"))
    made += _switches(facts, {each.name for each in made})
    return Choice(
        "postgresql", "map", tuple({each.name: each for each in made}.values()), literal["NAME"], literal["USER"],
        literal["HOST"], _backend(facts, value),
    )  # fmt: skip


def _variable(name: str, compose: str, why: str) -> Variable:
    placeholders = {"${DB_NAME}": "app", "${DB_USER}": "app", "${DB_PASSWORD}": "none", "${DB_HOST:-db}": "db",
                    "${DB_PORT:-5432}": "5432"}  # fmt: skip
    build = compose
    for reference, placeholder in placeholders.items():
        build = build.replace(reference, placeholder)
    return Variable(name, compose, None, build=build, why=why)


def _scheme(facts: Facts, name: str) -> str:
    """Return the scheme of a URL as the project's own samples write it."""
    sample = text(table(facts.value(f"variable.{name}")).get("sample"))
    scheme = sample.partition("://")[0]
    if ("://" in sample and POSTGRESQL.search(scheme)) or scheme == "postgis":
        return scheme
    return "postgis" if facts.get("postgres.extension.postgis") else "postgres"


def _engine_value(facts: Facts, name: str, value: Mapping[str, object]) -> str:
    """Return what an engine variable is to say, in the words that the project uses for it."""
    known = table(facts.value(f"variable.{name}"))
    for each in (known.get("sample"), known.get("default")):
        if POSTGRESQL.search(text(each)):
            return text(each)
    said = text(known.get("default")) or text(known.get("sample"))
    if "." in said or not said:
        return _backend(facts, value)
    return "postgresql"


def _backend(facts: Facts, value: Mapping[str, object]) -> str:
    said = text(value.get("backend"))
    if POSTGRESQL.search(said) or said.endswith(".postgis"):
        # Django 4 has taken the old name away.
        return said.replace("postgresql_psycopg2", "postgresql")
    gis = facts.get("postgres.extension.postgis")
    return "django.contrib.gis.db.backends.postgis" if gis else "django.db.backends.postgresql"


def _switches(facts: Facts, mapped: set[str]) -> Iterator[Variable]:
    """Give a value to each switch whose condition names PostgreSQL."""
    prefix = "database.development" if facts.get("database.development") else "database"
    for fact in (each for each in facts if each.name == f"{prefix}.switch"):
        value = table(fact.value)
        name, condition = text(value.get("variable")), text(value.get("condition"))
        if not name or name in mapped:
            continue
        literals = re.findall(r"['\"]([^'\"]*)['\"]", condition.replace(f"'{name}'", "").replace(f'"{name}"', ""))
        matching = [each for each in literals if POSTGRESQL.search(each.lower())]
        if matching and re.search(r"==|\bin\b", condition):
            mapped.add(name)
            yield Variable(name, matching[0], None, build=matching[0], why=f"switches to PostgreSQL at {place(fact)}")


def _with_driver(choice: Choice, facts: Facts) -> Choice:
    """Return the choice with the driver that the project has, or needs."""
    from dataclasses import replace

    packages = table(facts.value("requirements"))
    if any(installing.has(facts, packages, name) for name in ("psycopg", "psycopg-binary", "psycopg-c")):
        return replace(choice, driver="psycopg")
    if any(installing.has(facts, packages, name) for name in ("psycopg2", "psycopg2-binary")):
        return replace(choice, driver="psycopg2")
    django = text(table(facts.value("python")).get("django"))
    numbers = re.match(r"(\d+)\.(\d+)", django)
    if numbers and (int(numbers[1]), int(numbers[2])) < (4, 2):
        return replace(choice, driver="psycopg2", ours="psycopg2-binary")
    return replace(choice, driver="psycopg", ours="psycopg[binary]")


def _file_remark(fact: Fact | None) -> str:
    return f"the project keeps its SQLite database ({place(fact)}): a file in the checkout"
