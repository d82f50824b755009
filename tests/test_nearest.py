"""What is suggested for a word that is not there."""

from __future__ import annotations

import pytest

from berth.nearest import closest, did_you_mean

NAMES = ["up", "down", "stop", "worker-default", "logs"]


@pytest.mark.parametrize(
    ("word", "found"),
    [("pu", "up"), ("nwod", "down"), ("log", "logs"), ("worker", "worker-default"), ("xyz", None), ("", None)],
)
def test_nearest_word_is_found(word: str, found: str | None) -> None:
    assert closest(word, NAMES) == found


def test_question_is_asked_only_when_there_is_one() -> None:
    assert (did_you_mean("pu", NAMES), did_you_mean("xyz", NAMES)) == (": did you mean `up`?", ".")
