"""Write facts down: as JSON for programs, as a table for people."""

from __future__ import annotations

import json
from collections.abc import Iterable

from berth.inspect.model import Alternative, Fact, Facts, Value

WIDEST = 78
"""Characters of a value in the table."""


def as_json(facts: Facts) -> str:
    """Return all facts as a JSON object with one key, `facts`, in their order."""
    return json.dumps({"facts": [_entry(fact) for fact in facts]}, indent=2, ensure_ascii=False) + "\n"


def _entry(fact: Fact) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": fact.name,
        "value": fact.value,
        "origin": str(fact.origin),
        "certainty": fact.certainty,
    }
    if fact.alternatives:
        entry["alternatives"] = [_rival(each) for each in fact.alternatives]
    if fact.why:
        entry["why"] = fact.why
    return entry


def _rival(rival: Alternative) -> dict[str, object]:
    entry: dict[str, object] = {"value": rival.value, "origin": str(rival.origin)}
    if rival.why:
        entry["why"] = rival.why
    return entry


def as_table(facts: Facts) -> str:
    """Return a table with a line for each fact; rivals and reasons follow, indented, where it is not certain."""
    rows = [(fact, (fact.name, _short(fact.value), str(fact.origin), fact.certainty)) for fact in facts]
    if not rows:
        return "no facts were found\n"
    widths = [max(len(cells[column]) for _, cells in rows) for column in range(3)]
    lines = []
    for fact, cells in rows:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
        lines.append(f"{'  '.join(padded)}  {cells[3]}".rstrip())
        lines += [f"    {line}" for line in _remarks(fact)]
    return "\n".join(lines) + "\n"


def _remarks(fact: Fact) -> Iterable[str]:
    if fact.certainty == "certain":
        return
    if fact.why:
        yield fact.why
    for rival in fact.alternatives:
        reason = f": {rival.why}" if rival.why else ""
        yield f"or {_short(rival.value)} ({rival.origin}){reason}"


def _short(value: Value) -> str:
    text = _plain(value)
    return text if len(text) <= WIDEST else text[: WIDEST - 3] + "..."


def _plain(value: Value) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_plain(each)}" for name, each in value.items() if each not in (None, [], {}))
    if isinstance(value, list):
        return " ".join(_plain(each) for each in value)
    return " ".join(str(value).split())
