"""Show what would be written against what is there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

CONTEXT = 3
NOTHING = "/dev/null"


def diff(before: bytes | None, after: bytes | None, path: str, beside: str = "") -> str:
    """Return the change of a file as a unified diff, as `git diff` prints it; "" when nothing changes.

    :param before: None: there is no such file.
    :param after: None: it is deleted.
    :param beside: the name of ``after``, where it is not that of ``before``.
    """
    names = (NOTHING if before is None else f"a/{path}", NOTHING if after is None else f"b/{beside or path}")
    found = difflib.unified_diff(_lines(before), _lines(after), *names, n=CONTEXT)
    return "".join(_ended(found))


def _lines(text: bytes | None) -> list[str]:
    # Not `splitlines`, which knows more ends of lines than files have.
    rows = (text or b"").decode(errors="replace").split("\n")
    return [f"{row}\n" for row in rows[:-1]] + ([rows[-1]] if rows[-1] else [])


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
