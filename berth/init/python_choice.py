"""Decide which Python the images have."""

from __future__ import annotations

import re
from collections.abc import Mapping

from berth.errors import Refused
from berth.init.reading import place, table, text, words
from berth.inspect import Facts

USUAL = "3.13"
OLDEST = (3, 8)
"""uv has no wheel for one before it."""
UPSTREAM = (3, 9)
"""The oldest of which there is an image on the newest Debian."""


def decide(facts: Facts, answers: Mapping[str, str]) -> str:
    """Return the version of Python: the answer's, the one that the project names, or the usual one where it fits.

    :raises Refused: the answer is none, or the project allows none that images can be built with.
    """
    fact = facts.get("python")
    value = table(fact.value if fact else None)
    allowed = words(value.get("allowed"))
    if given := answers.get("python"):
        if not re.fullmatch(r"3\.\d+", given):
            raise Refused(f"python={given} is no version: write one as 3.13")
        if allowed and given not in allowed:
            raise Refused(f"python={given} does not fit ({place(fact)}): write one of {', '.join(allowed)}")
        return given
    usable = [each for each in allowed if number(each) >= OLDEST]
    if allowed and not usable:
        raise Refused(
            f"cannot, because {place(fact)} allows no Python above {allowed[-1]}, and the tools that install packages "
            f"need {'.'.join(map(str, OLDEST))}: allow a newer one, and a newer Django where it asks for that"
        )
    preferred = text(value.get("preferred"))
    if preferred and number(preferred) < OLDEST:
        preferred = next((each for each in usable if number(each) >= UPSTREAM), usable[-1] if usable else "")
    if fact is not None and fact.certainty == "certain" and preferred:
        return preferred
    return USUAL if not allowed or USUAL in allowed else preferred or allowed[-1]


def number(version: str) -> tuple[int, ...]:
    """Return a version as numbers, which sort."""
    return tuple(map(int, version.split(".")))
