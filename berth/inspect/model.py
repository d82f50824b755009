"""What is known of a project: facts, each with where it stands and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Certainty = Literal["certain", "likely", "guess"]
"""certain: a file says it in so many words. likely: one reading of several, the others are listed or improbable.
guess: a habit of other projects, no word of this one."""

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"
"""What JSON can hold."""


@dataclass(frozen=True)
class Place:
    """A line of a file.

    :param file: its path below the project's root, with slashes; "" when the fact is that something is nowhere.
    :param line: counted from 1; 0 means the file as a whole.
    """

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


NOWHERE = Place("")


@dataclass(frozen=True)
class Alternative:
    """What a fact might be instead."""

    value: Value
    origin: Place
    why: str = ""


@dataclass(frozen=True)
class Fact:
    """One thing that the files of a project say.

    :param name: words joined by dots; those of a family share the first: `variable.SECRET_KEY`.
    :param value: what it is; None with a certainty says that it was looked for and is not there, or not to be read.
    :param origin: where the value stands.
    :param alternatives: the rivals, the most probable first.
    :param why: one sentence on what decided, or what keeps it from being certain.
    """

    name: str
    value: Value
    origin: Place
    certainty: Certainty = "certain"
    alternatives: tuple[Alternative, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Facts:
    """All facts of a project, in the order in which they are shown."""

    facts: tuple[Fact, ...]

    def __iter__(self) -> Iterator[Fact]:
        return iter(self.facts)

    def get(self, name: str) -> Fact | None:
        """Return the first fact of that name, or None."""
        return next((fact for fact in self.facts if fact.name == name), None)

    def value(self, name: str) -> Value:
        """Return the value of the first fact of that name, or None."""
        fact = self.get(name)
        return fact.value if fact else None

    def family(self, prefix: str) -> tuple[Fact, ...]:
        """Return the facts named ``prefix.SOMETHING``."""
        return tuple(fact for fact in self.facts if fact.name.startswith(prefix + "."))
