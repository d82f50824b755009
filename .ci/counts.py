#!/usr/bin/env python3
"""Print how many tests ran, from the JUnit files in reports/; fail if a test that needs containers did not run."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

REPORTS = Path(__file__).resolve().parent.parent / "reports"
CONTAINERS = "suite, tests/containers"


def outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"


def main() -> None:
    counts: dict[str, Counter[str]] = {}
    for report in sorted(REPORTS.glob("junit-*.xml")):
        name = report.stem.removeprefix("junit-")
        for case in ElementTree.parse(report).iter("testcase"):
            folder = CONTAINERS if case.get("classname", "").startswith("tests.containers.") else name
            counts.setdefault(folder, Counter())[outcome(case)] += 1
    for name, count in counts.items():
        print(f"[counts] {name}: {', '.join(f'{number} {word}' for word, number in sorted(count.items()))}")
    containers = counts.get(CONTAINERS, Counter())
    if set(containers) != {"passed"} or not {"dev", "test", "dev-django-6.1"} <= set(counts):
        sys.exit("[counts] not every test that needs containers ran and passed")


if __name__ == "__main__":
    main()
