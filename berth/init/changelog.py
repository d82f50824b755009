"""Tell what is new for users between two versions of Berth, from its CHANGELOG.md.

A build between two releases has the version of the next one, so that versions alone do not say what is new since. The
state file of a project therefore notes the entries that its version had, and those are left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.version import Version

PACKAGE = Path(__file__).parents[1]
NAME = "CHANGELOG.md"
UNRELEASED = "Unreleased"


class Entry(NamedTuple):
    """An entry of a section, such as `Added`, of a version."""

    version: str
    section: str
    text: str

    @property
    def digest(self) -> str:
        """What it is known by, however its lines are broken."""
        return hashlib.sha256(" ".join(self.text.split()).encode()).hexdigest()[:8]


def text() -> str:
    """Return the changelog of this Berth: a wheel has it in the package, a checkout beside it."""
    path = PACKAGE / NAME if (PACKAGE / NAME).exists() else PACKAGE.parent / NAME
    return path.read_text(encoding="utf-8")


def digests(text: str, version: str) -> list[str]:
    """Return what the entries of a version are known by; of one that is not released yet, those of the next."""
    own = _own(text, version)
    return [entry.digest for entry in _entries(text) if entry.version == own]


def between(text: str, old: str, new: str, known: Collection[str]) -> str:
    """Return the entries of the versions from ``old`` to ``new`` as Markdown, but those that ``old`` has had.

    :param known: what those are known by.
    """
    lines, heading, section = [], "", ""
    for entry in _entries(text):
        if entry.digest in known or not _is_between(entry.version, old, new, _own(text, new)):
            continue
        if entry.version != heading:
            heading, section = entry.version, ""
            lines += ["", f"## {heading}"]
        if entry.section != section:
            section = entry.section
            lines += ["", f"### {section}", ""]
        lines.append(entry.text)
    return "\n".join(lines).strip()


def _is_between(version: str, old: str, new: str, own: str) -> bool:
    if version == UNRELEASED:
        return own == UNRELEASED
    return Version(old) <= Version(version) <= Version(new)


def _own(text: str, version: str) -> str:
    """Return the heading that the entries of a version stand below."""
    return version if re.search(rf"^## \[{re.escape(version)}\]", text, re.M) else UNRELEASED


def _entries(text: str) -> Iterator[Entry]:
    version = section = ""
    for block in re.split(r"^(?=## \[|### |- )", text, flags=re.M):
        if found := re.match(r"## \[(.+?)\]", block):
            version, section = found[1], ""
        elif block.startswith("### "):
            section = block.removeprefix("### ").partition("\n")[0]
        elif version and block.startswith("- "):
            yield Entry(version, section, block.partition("\n\n")[0].rstrip())
