"""Merge what Berth writes anew into what the user has made of it.

By `git merge-file`, which needs no repository: git is there, as an upgrade asks for one, and it knows when both sides
have changed a line alike. It reads and writes files, so no byte of the user's goes through a decoder.
"""

from __future__ import annotations

from pathlib import Path

from invoke import Context

from berth import process
from berth.init import writing

LIVE, BASE, NEW = "live", "base", "new"
MOST_CONFLICTS = 127
"""A greater exit code of git is an error, such as that a file is binary."""


def merge(c: Context, live: bytes, base: bytes, new: bytes) -> bytes | None:
    """Return ``live`` with the changes from ``base`` to ``new``; None: they are in conflict with those of the user."""
    with writing.aside({LIVE: live, BASE: base, NEW: new}) as folder:
        code = process.capture(c, ["git", "merge-file", "--quiet", LIVE, BASE, NEW], cwd=folder).returncode
        return (folder / LIVE).read_bytes() if code == 0 else None


def is_repository(c: Context, folder: Path) -> bool:
    """Tell whether a folder is in the work tree of a git repository."""
    asked = process.capture(c, ["git", "rev-parse", "--is-inside-work-tree"], cwd=folder)
    return asked.stdout.strip() == "true"
