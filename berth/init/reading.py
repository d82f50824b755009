"""Read values of facts, which are JSON, as the types that they should have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from berth.inspect import Fact, Facts


def table(value: object) -> Mapping[str, object]:
    """Return a value that is an object, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def words(value: object) -> tuple[str, ...]:
    """Return the texts of a list, or nothing."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return ()
    return tuple(str(each) for each in value)


def text(value: object) -> str:
    """Return a value that is a text, or an empty one."""
    return value if isinstance(value, str) else ""


def place(fact: Fact | None) -> str:
    """Return where a fact stands."""
    return str(fact.origin) if fact else "nowhere"


def version(facts: Facts, package: str) -> str:
    """Return the locked version of a package, `?` when none is named; "" when the project has it not."""
    found = facts.get(f"package.{package}")
    return (text(table(found.value).get("version")) or "?") if found else ""
