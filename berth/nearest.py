"""Guess what was meant by a word that is not there."""

from __future__ import annotations

from collections.abc import Iterable


def closest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is most like ``word``: the same letters in another order, or almost the same word."""
    import difflib  # not at every start of `inv`

    known = list(choices)
    swapped = [choice for choice in known if sorted(choice) == sorted(word)]
    return next(iter(swapped or difflib.get_close_matches(word, known, n=1)), None)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ": did you mean `...`?" with the choice that is most like ``word``, or "." when none is."""
    found = closest(word, choices)
    return f": did you mean `{found}`?" if found else "."
