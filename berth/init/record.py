"""Have a project's own manage.py run under a recorder inside a container, and read what it has recorded.

Of the three ways to find facts this is the one that runs the project's code, so it is for a container only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

RECORDER = Path(__file__).parent / "files" / "record_settings.py"
MARK = "BERTH-RECORD "


@dataclass(frozen=True)
class Read:
    """A variable that the project has asked its environment for.

    :param is_set: it was there.
    :param has_default: each time there was a second choice; without one, a missing variable is an error.
    :param where: file and line that asked first.
    """

    is_set: bool
    has_default: bool
    where: str


@dataclass(frozen=True)
class Record:
    """What was recorded.

    :param settings: what Django's settings say once all is imported; None when they could not be loaded.
    :param paths: of the project, as far as they take no argument.
    """

    variables: Mapping[str, Read] = field(default_factory=dict)
    settings: Mapping[str, object] | None = None
    paths: tuple[str, ...] = ()


def command(manage: str, *words: str) -> list[str]:
    """Return what to run in a container in the place of `python MANAGE WORDS`; its image need not hold the recorder."""
    return ["python", "-c", RECORDER.read_text(encoding="utf-8"), "-", manage, *words]


def parse(output: str) -> Record:
    """Return what the recorder has printed, among all that the project did; nothing when it did not get so far."""
    said = next((line for line in reversed(output.splitlines()) if line.startswith(MARK)), "")
    if not said:
        return Record()
    report = json.loads(said.removeprefix(MARK))
    variables = {name: Read(each["set"], each["default"], each["where"]) for name, each in report["variables"].items()}
    return Record(variables, report["settings"], tuple(report["paths"]))
