#!/usr/bin/env python3
"""Print how many tests ran, from the JUnit files below reports/; fail unless all that need containers ran and passed.

The last line is the sum of all.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

REPORTS = Path(__file__).resolve().parent.parent / "reports"
CONTAINERS = "suite, tests/containers"
IMAGES = {"dev", "test", "dev-django-6.1"}
SWARM = "swarm"


def outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"


def read(reports: Path) -> dict[str, Counter[str]]:
    """Return the outcomes of each report, by its name; those of containers apart."""
    counts: dict[str, Counter[str]] = {}
    for report in sorted(reports.rglob("junit-*.xml")):
        name = " ".join([report.stem.removeprefix("junit-"), *report.parent.relative_to(reports).parts])
        for case in ElementTree.parse(report).iter("testcase"):
            inside = name == "suite" and case.get("classname", "").startswith("tests.containers.")
            counts.setdefault(CONTAINERS if inside else name, Counter())[outcome(case)] += 1
    return counts


def line(count: Counter[str]) -> str:
    return ", ".join(f"{count[word]} {word}" for word in ("passed", "failed", "skipped"))


def main() -> int:
    counts = read(REPORTS)
    for name, count in counts.items():
        print(f"[counts] {name}: {line(count)}")
    total = sum(counts.values(), Counter[str]())
    complete = all(set(counts.get(name, ())) == {"passed"} for name in (CONTAINERS, SWARM)) and counts.keys() >= IMAGES
    if not complete:
        print("[counts] not every test that needs containers ran and passed", flush=True)
    print(line(total))
    return 0 if complete and not total["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
