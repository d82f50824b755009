"""Read docker/broker/queues.toml, the one definition of the queues.

The limits are Amazon's: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from berth.errors import Refused
from berth.nearest import did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    # nox brings it along there.
    import tomli as tomllib

FILE = "queues.toml"
NAME = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")
NUMBERS = {
    "visibility_timeout": (0, 43200),
    "delay": (0, 900),
    "receive_wait": (0, 20),
    "max_receives": (1, 1000),
    "retention": (60, 1209600),
}
"""The least and the most of each number; all but `max_receives` are seconds."""
KINDS: dict[str, type] = {
    **dict.fromkeys(NUMBERS, int),
    "dead_letters": str,
    "fifo": bool,
    "content_based_deduplication": bool,
}
WORDS = {int: "a whole number", str: "a name in quotes", bool: "true or false"}


@dataclass(frozen=True)
class Queue:
    """A queue, as it is to be. Times are in seconds; None is what the server does by itself.

    :param dead_letters: name of the queue that gets what was delivered ``max_receives`` times.
    """

    name: str
    visibility_timeout: int = 30
    delay: int = 0
    receive_wait: int = 0
    max_receives: int | None = None
    dead_letters: str | None = None
    retention: int | None = None
    fifo: bool = False
    content_based_deduplication: bool = False

    def attributes(self) -> dict[str, str]:
        """Return the attributes that SQS has for it, without those of dead letters."""
        found = {
            "VisibilityTimeout": str(self.visibility_timeout),
            "DelaySeconds": str(self.delay),
            "ReceiveMessageWaitTimeSeconds": str(self.receive_wait),
        }
        if self.retention is not None:
            found["MessageRetentionPeriod"] = str(self.retention)
        if self.fifo:
            deduplication = str(self.content_based_deduplication).lower()
            found |= {"FifoQueue": "true", "ContentBasedDeduplication": deduplication}
        return found


def parse(text: str) -> dict[str, Queue]:
    """Return the queues of the file, by name, in its order.

    :raises Refused: it is no TOML, or defines what no server could make, with all that is wrong.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{FILE} cannot be read: {error}") from None
    problems = [problem for name, table in tables.items() for problem in _problems(name, table)]
    if not problems:
        queues = {name: Queue(name, **table) for name, table in tables.items()}
        problems = [problem for queue in queues.values() for problem in _broken(queue, queues)]
        if not queues:
            problems = ["it defines no queue"]
    if problems:
        raise Refused("\n".join(f"{FILE}: {problem}" for problem in problems))
    return queues


def _problems(name: str, table: Any) -> list[str]:
    if not isinstance(table, Mapping):
        return [f"`{name}` stands outside of a queue: write [NAME] above it"]
    found = []
    if not NAME.fullmatch(name):
        found.append(
            f"`{name}` is no name of a queue: use up to 80 letters, digits, `-` and `_`, and `.fifo` at the end"
        )
    for key, value in table.items():
        least, most = NUMBERS.get(key, (0, 0))
        if key not in KINDS:
            found.append(f"[{name}] has no `{key}`{did_you_mean(key, KINDS)}")
        elif type(value) is not KINDS[key]:
            found.append(f"[{name}] `{key}` takes {WORDS[KINDS[key]]}, not `{value}`")
        elif isinstance(value, int) and key in NUMBERS and not least <= value <= most:
            found.append(f"[{name}] `{key}` takes {least} to {most}, not {value}")
    return found


def _broken(queue: Queue, queues: Mapping[str, Queue]) -> list[str]:
    found = []
    if queue.fifo != queue.name.endswith(".fifo"):
        found.append(f"[{queue.name}] a FIFO queue has `fifo = true` and a name that ends in `.fifo`, or neither")
    if queue.content_based_deduplication and not queue.fifo:
        found.append(f"[{queue.name}] `content_based_deduplication` is for FIFO queues")
    if (queue.max_receives is None) != (queue.dead_letters is None):
        found.append(f"[{queue.name}] takes `max_receives` and `dead_letters` together, or neither")
    if queue.dead_letters is not None:
        target = queues.get(queue.dead_letters)
        if target is None:
            found.append(f"[{queue.name}] `dead_letters` names `{queue.dead_letters}`, which is not defined")
        elif target is queue:
            found.append(f"[{queue.name}] cannot have its own dead letters")
        elif target.fifo != queue.fifo:
            found.append(f"[{queue.name}] and `{target.name}`: either both are FIFO queues, or neither is")
    return found


def with_work(queues: Mapping[str, Queue]) -> list[str]:
    """Return the names of the queues that tasks are published to: those that hold no dead letters of another."""
    targets = {queue.dead_letters for queue in queues.values()}
    return [name for name in queues if name not in targets]
