"""Workers and broker that are killed, stopped, suspended and restarted at random, while tasks are to be run.

CHAOS_TASKS    number of tasks in a round (60)
CHAOS_SEEDS    seeds of the rounds, comma separated (1)
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable

import pytest
from sqs_shop import Shop, wait_until

TASKS = int(os.environ.get("CHAOS_TASKS") or 60)
SEEDS = [int(seed) for seed in (os.environ.get("CHAOS_SEEDS") or "1").split(",")]
LONGEST_S = max(0.6, 150 / TASKS)
"""Of a task; on a quiet machine a round is half a minute at least, for something to happen in."""
LIMIT_S = 180 + TASKS
Make = Callable[..., Shop]


class Chaos:
    """Two workers, and what may happen to them."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop, self.random, self.done = shop, random.Random(seed), Counter[str]()
        self.live = [self.start(), self.start()]

    def start(self) -> subprocess.Popen[str]:
        """Start a worker, and wait for it: one that is killed before it is ready shows nothing."""
        worker = self.shop.start()
        number = len(self.shop.workers) - 1
        wait_until(lambda: " ready." in self.shop.output(number) or worker.poll() is not None, "it is ready", 120)
        return worker

    def replace(self, number: int) -> None:
        self.live[number] = self.start()

    def term(self, number: int) -> None:
        """Stop a worker, as an engine does that gives it time, and start another."""
        self.live[number].terminate()
        assert self.live[number].wait(timeout=60) == 0
        self.replace(number)

    def kill(self, number: int) -> None:
        """Take worker and processes away."""
        self.shop.kill(self.live[number])
        self.replace(number)

    def suspend(self, number: int) -> None:
        """Let a worker stand still for longer than its messages are invisible."""
        group = self.live[number].pid
        os.killpg(group, signal.SIGSTOP)
        time.sleep(self.random.uniform(0.5, 6))
        os.killpg(group, signal.SIGCONT)

    def restart_broker(self, number: int) -> None:
        """Take the server away, and bring it back with what it has on disk."""
        self.shop.broker.restart(self.random.uniform(0, 1))

    def reign(self, *events: Callable[[Chaos, int], None]) -> None:
        """Let something happen every few moments until all tasks have ended, and all messages are gone."""
        deadline = time.monotonic() + LIMIT_S
        while len(set(self.shop.lines("ended"))) < TASKS:
            assert time.monotonic() < deadline, f"{len(set(self.shop.lines('ended')))} tasks ended amid {self.done}"
            time.sleep(self.random.uniform(0.2, 3))
            event = self.random.choice(events)
            self.done[event.__name__] += 1
            event(self, self.random.randrange(len(self.live)))
        wait_until(lambda: self.shop.counts() == (0, 0), "all messages are deleted", 60)

    def report(self) -> None:
        """Say what has happened; shown by `pytest -rP`."""
        runs = Counter(self.shop.lines())
        print(
            f"{TASKS} tasks, {sum(runs.values())} runs, {len(set(self.shop.lines('ended')))} ended; {dict(self.done)}"
        )


def prepared(shop: Make, seed: int) -> Chaos:
    made = shop(visibility=4, receives=50)
    made.environment["WORKER_SOFT_SHUTDOWN_TIMEOUT"] = "20"
    source = f"import random; r = random.Random({seed}); [note.delay(str(i), r.uniform(0, {LONGEST_S})) for i in range({TASKS})]"
    made.publish(source)
    return Chaos(made, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_whatever_happens_to_workers_and_broker(shop: Make, seed: int) -> None:
    chaos = prepared(shop, seed)
    events = [Chaos.kill, Chaos.term, Chaos.suspend]
    if chaos.shop.broker.keeps:
        events.append(Chaos.restart_broker)
    chaos.reign(*events)
    chaos.report()

    assert sum(chaos.done.values()) >= 3
    assert set(chaos.shop.lines("ended")) == {str(number) for number in range(TASKS)}
    assert chaos.shop.counts(chaos.shop.dead) == (0, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_task_runs_once_while_workers_are_stopped_and_started(shop: Make, seed: int) -> None:
    chaos = prepared(shop, seed)
    chaos.reign(Chaos.term)
    chaos.report()

    assert chaos.done["term"] >= 3
    assert Counter(chaos.shop.lines()) == {str(number): 1 for number in range(TASKS)}
