"""What the user is asked: at most three questions, each with a default and its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from berth.errors import Refused

KNOWN = {
    "manage": "the manage.py of the project, below its root",
    "settings": "the settings module of the development services",
    "database": "postgresql or sqlite",
    "python": "the version of Python, as 3.13",
    "requirements": "the file that the packages are installed from, below the root",
    "health_path": "a path that answers 200",
    "health_host": "the host name that the health check asks for, one of ALLOWED_HOSTS",
}
"""Every answer there is; init asks for a few of them only, the others have a default that is rarely wrong."""
VARIABLE = "variable."
"""Begins answers that give a variable of the project a value for development."""


@dataclass(frozen=True)
class Question:
    """Something that the files of a project do not decide.

    :param name: one of `KNOWN`.
    :param text: ends in a question mark.
    :param default: what ``--yes`` takes; "" when nothing is probable enough, so that it has to be answered.
    :param why: what speaks for the default, as `FILE:LINE says so`.
    :param choices: all possible answers; () for any.
    """

    name: str
    text: str
    default: str
    why: str
    choices: tuple[str, ...] = ()


class Unanswered(Exception):
    """An answer is needed before anything can be decided.

    :param question: the first that is open.
    """

    def __init__(self, question: Question) -> None:
        super().__init__(question.text)
        self.question = question


def checked(answers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the answers.

    :raises Refused: one has a name that there is not.
    """
    for name in answers:
        if name not in KNOWN and not re.fullmatch(VARIABLE + r"[A-Za-z_][A-Za-z0-9_]*", name):
            listed = "\n".join(f"  {known}: {meaning}" for known, meaning in KNOWN.items())
            raise Refused(
                f"there is no answer `{name}`: write one of these\n{listed}\n  {VARIABLE}NAME: a value for a variable"
            )
    return answers


def of(answers: Mapping[str, str], question: Question) -> str:
    """Return the answer to a question.

    :raises Unanswered: there is none yet.
    :raises Refused: it is none of the choices.
    """
    if (given := answers.get(question.name)) is None:
        raise Unanswered(question)
    if question.choices and given not in question.choices:
        raise Refused(f"{question.name}={given} is no answer: write one of {', '.join(question.choices)}")
    return given
