"""What is remembered of the last hour, and what may be said of ages and rates."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from berth_queues.history import History
from berth_queues.settings import Trouble
from berth_queues.sqs import Queue


class Clock:
    """A clock, and a queue that holds what it is told to."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.held = 0
        self.trouble = False
        self.looks = 0

    def __call__(self) -> float:
        return self.time

    def look(self) -> list[Queue]:
        self.looks += 1
        if self.trouble:
            raise Trouble("nothing answers")
        return [Queue("default", "http://broker/0/default", True, visible=self.held)]


def made() -> tuple[Clock, Callable[[int, float], dict[str, object]]]:
    """Return a clock, and a function that looks when so many messages are there, so many seconds later."""
    clock = Clock()
    history = History(clock.look, now=clock)
    clock.history = history  # type: ignore[attr-defined]

    def look(held: int, later: float) -> dict[str, object]:
        clock.time += later
        clock.held = held
        queues = history.latest()["queues"]
        return queues[0] if queues else {}

    return clock, look


def test_nothing_is_older_than_the_last_time_the_queue_was_empty() -> None:
    _, look = made()
    assert look(3, 0)["oldest_at_most"] is None  # it was there before we were
    assert look(0, 5)["oldest_at_most"] is None  # there is nothing
    assert look(2, 5)["oldest_at_most"] == 5
    assert look(9, 60)["oldest_at_most"] == 65


def test_a_rate_is_the_change_of_the_last_minute() -> None:
    _, look = made()
    assert look(0, 0)["change"] is None
    assert look(10, 30)["change"] == 20
    assert look(40, 30)["change"] == 40
    assert look(0, 60)["change"] == -40


def test_the_plots_have_one_point_every_five_seconds_of_the_last_hour() -> None:
    clock, look = made()
    for second in range(4000):
        look(second, 1)
    points = clock.history.points()  # type: ignore[attr-defined]
    times, (visible, in_flight, delayed) = points["times"], points["queues"]["default"]
    assert len(times) == len(visible) == len(in_flight) == len(delayed) == 720
    assert {round(later - earlier) for earlier, later in itertools.pairwise(times)} == {5}
    assert visible == [round(at - 1001) for at in times]


def test_while_the_server_is_gone_that_is_what_is_said_and_a_gap_stays() -> None:
    clock, look = made()
    look(1, 0)
    clock.trouble = True
    look(1, 5)
    assert clock.history.latest()["error"] == "nothing answers"  # type: ignore[attr-defined]
    clock.trouble = False
    assert look(1, 5)["visible"] == 1
    assert len(clock.history.points()["times"]) == 2  # type: ignore[attr-defined]


def test_many_who_look_at_once_ask_the_server_once() -> None:
    clock, look = made()
    for _ in range(10):
        look(1, 0.05)
    assert clock.looks == 1
