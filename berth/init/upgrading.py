"""Bring what an earlier Berth has written to what this one writes, and keep all that the user has made of it.

For each file three texts decide: that of the earlier Berth, which the state file holds, this one's, and what is there.
Nothing is written before all is decided; each file is then written whole; the state file is the last. A run that was
interrupted is therefore run again: what it has done is found done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from berth import __version__
from berth.errors import Refused
from berth.init import comparing, writing
from berth.init.writing import BESIDE

Merge = Callable[[bytes, bytes, bytes], "bytes | None"]
"""Makes one text of that of the user, that of the earlier Berth and the new one; None: it takes a person."""

ADDED, REPLACED, MERGED, DELETED = "added", "replaced", "merged", "deleted"
STAYS_DELETED, STAYS, CONFLICT, WAITS = "stays deleted", "stays", "conflict", "waits"
WRITTEN = frozenset({ADDED, REPLACED, MERGED, DELETED})
OPEN = frozenset({CONFLICT, WAITS})
"""What is left for the user to do."""


class Outcome(NamedTuple):
    """What becomes of a file.

    :param before: what is there; None: nothing.
    :param after: what it becomes; None: nothing. Of a conflict, what is written beside it.
    :param why: for people.
    """

    path: str
    what: str
    before: bytes | None
    after: bytes | None
    why: str = ""


def outcomes(root: Path, old: Mapping[str, str], new: Mapping[str, str], merge: Merge) -> list[Outcome]:
    """Return what becomes of each file that is not simply as it should be.

    :param old: the texts that the earlier Berth has written.
    :param new: those that this one writes.
    :raises Refused: what an earlier upgrade has put beside a file is not merged yet.
    """
    _check_beside(root, sorted({*old, *new}), new)
    found = []
    for path in sorted({*old, *new}):
        base, after = (texts[path].encode() if path in texts else None for texts in (old, new))
        if outcome := _outcome(root / path, path, base, after, merge):
            found.append(outcome)
    conflicts = {each.path for each in found if each.what == CONFLICT}
    for path in sorted(new.keys() - conflicts):
        live, beside = writing.content(root / path), root / f"{path}{BESIDE}"
        if os.path.lexists(beside) and live not in (None, new[path].encode()):
            found.append(Outcome(path, WAITS, live, live, "of an earlier upgrade"))
    return found


def _outcome(place: Path, path: str, base: bytes | None, after: bytes | None, merge: Merge) -> Outcome | None:
    live = writing.content(place)
    is_there = os.path.lexists(place)
    if live == after and (live is not None) == is_there:
        return None
    if after is None:
        if live == base:
            return Outcome(path, DELETED, live, None, "Berth writes it no more")
        return Outcome(path, STAYS, live, live, "Berth writes it no more, and it was changed: it is yours now")
    if not is_there:
        return Outcome(path, STAYS_DELETED, None, None) if base is not None else Outcome(path, ADDED, None, after)
    if live is None:
        return None if base == after else Outcome(path, CONFLICT, None, after, "it is a link or a folder")
    if base is None:
        return Outcome(path, CONFLICT, live, after, "it is the project's own, and new in Berth")
    if live == base:
        return Outcome(path, REPLACED, live, after)
    if base == after:
        return None
    merged = merge(live, base, after)
    if merged is None:
        return Outcome(path, CONFLICT, live, after, "both have changed the same lines")
    return Outcome(path, MERGED, live, merged) if merged != live else None


def _check_beside(root: Path, paths: Sequence[str], new: Mapping[str, str]) -> None:
    """:raises Refused: there is something beside a file that this upgrade would not put there."""
    waiting = [
        path
        for path in paths
        if os.path.lexists(root / f"{path}{BESIDE}")
        and writing.content(root / f"{path}{BESIDE}") != (new[path].encode() if path in new else None)
    ]
    if waiting:
        raise Refused(f"an earlier upgrade waits for you, and nothing was changed:\n{to_do(waiting)}")


def to_do(paths: Sequence[str]) -> str:
    """Return what is to be done with what stands beside these files."""
    listed = "\n".join(f"  {path}{BESIDE}" for path in paths)
    first = paths[0]
    return (
        f"{listed}\ntake over by hand what you want of each, as `git diff --no-index {first} {first}{BESIDE}` shows "
        "it, delete it, and type `berth upgrade` again"
    )


def apply(root: Path, found: Sequence[Outcome], state_path: str, state: str) -> None:
    """Write what was decided, the state file last.

    :raises Refused: a file cannot be written; what was is found done next time.
    """
    try:
        for each in found:
            if each.what == DELETED:
                writing.delete(root, each.path)
            elif each.what == CONFLICT:
                writing.create(root / f"{each.path}{BESIDE}", each.after or b"")
            elif each.what == ADDED:
                writing.create(root / each.path, each.after or b"")
            elif each.what in WRITTEN:
                writing.replace(root / each.path, each.after or b"")
        if (root / state_path).read_bytes() != state.encode():
            writing.replace(root / state_path, state.encode())
    except OSError as error:
        raise Refused(
            f"{error.filename or root} cannot be written ({error.strerror}): the upgrade is not finished; "
            "type `berth upgrade` again when it can"
        ) from None


def listed(found: Sequence[Outcome]) -> Iterator[str]:
    """Yield a line for each file, for people."""
    for each in found:
        yield f"{each.what:14}{each.path}" + (f" ({each.why})" if each.why else "")


def summary(found: Sequence[Outcome], state_path: str) -> str:
    """Return the last line: what to do with what was written."""
    if count := sum(each.what in WRITTEN for each in found):
        return f"changed {count} files: `git diff` shows them"
    return f"changed nothing: all that {state_path} knows is as Berth {__version__} writes it, or yours"


def diffs(found: Sequence[Outcome]) -> str:
    """Return the changes of all files, as a unified diff; what would be put beside a file against that file."""
    return "".join(
        comparing.diff(each.before, each.after, each.path, each.path + BESIDE if each.what == CONFLICT else "")
        for each in found
    )
