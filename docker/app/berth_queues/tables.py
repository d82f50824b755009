"""Write queues and messages as lines for a terminal."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

HEAD = ("queue", "waiting", "in flight", "delayed", "oldest", "a minute", "dead letters")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def duration(seconds: float) -> str:
    """Return a time as its two largest units, such as `2 h 5 min`."""
    found = []
    rest = int(seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, rest = divmod(rest, length)
        if number:
            found.append(f"{number} {unit}")
    return " ".join(found[:2]) or "0 s"


def queues(state: Mapping[str, Any]) -> str:
    """Return the table of the queues, and a line for each that has a problem."""
    by_name = {queue["name"]: queue for queue in state["queues"]}
    rows, problems = [HEAD], []
    for queue in state["queues"]:
        if queue["problem"]:
            problems.append(queue["problem"])
        else:
            rows.append(_row(queue, by_name))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if column in (0, 6) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *problems])


def _row(queue: Mapping[str, Any], by_name: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    oldest, change = queue.get("oldest_at_most"), queue.get("change")
    age = "-" if queue["total"] == 0 else "?" if oldest is None else f"< {duration(oldest + 1)}"
    return (
        queue["name"],
        str(queue["visible"]),
        str(queue["in_flight"]),
        str(queue["delayed"]),
        age,
        "?" if change is None else f"{change:+g}" if change else "0",
        _dead_letters(queue, by_name),
    )


def _dead_letters(queue: Mapping[str, Any], by_name: Mapping[str, Mapping[str, Any]]) -> str:
    if queue["sources"]:
        return f"those of {', '.join(queue['sources'])}"
    if not queue["max_receives"]:
        return "none: a task that fails comes again for ever"
    target = by_name.get(queue["dead_letters"] or "")
    if not target or target["problem"]:
        return "their queue is not there"
    return f"{target['total']}, after {queue['max_receives']} deliveries"


def message(found: Mapping[str, Any], max_receives: int | None, now: float | None = None) -> str:
    """Return a message in a line or two."""
    age = duration((time.time() if now is None else now) - found["sent_at"])
    receives = f"{found['receives']} of {max_receives}" if max_receives else str(found["receives"])
    facts = [f"sent {age} ago", f"delivery {receives}", f"{found['bytes']} bytes", f"message {found['id']}"]
    if found["task"] is None:
        return f"not Celery's: {printable(found['text'])}\n    {', '.join(facts)}"
    facts[0:0] = [f"id {found['task_id']}", f"retries {found['retries']}"]
    facts += [f"{name} {found[name]}" for name in ("eta", "expires") if found.get(name)]
    lines = [f"{found['task']}({_arguments(found)})", f"    {', '.join(facts)}"]
    if failure := found.get("failure"):
        why = failure["text"].strip().rpartition("\n")[2]
        lines.append(f"    failed {duration((time.time() if now is None else now) - failure['at'])} ago: {why}")
    return "\n".join(printable(line) for line in lines)


def _arguments(found: Mapping[str, Any]) -> str:
    args, kwargs = str(found["args"]), str(found["kwargs"])
    shown = [args[1:-1] if args[:1] in "[(" and args[-1:] in "])" else args, "" if kwargs == "{}" else f"**{kwargs}"]
    return ", ".join(filter(None, (part.strip().removesuffix(",") for part in shown)))


def messages(found: Sequence[Mapping[str, Any]], max_receives: int | None) -> str:
    return "\n".join(message(one, max_receives) for one in found)


def printable(text: str) -> str:
    """Return text that no terminal takes for commands."""
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
