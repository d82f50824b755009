"""Give a child process files for its stdin and stdout, and tell how far it is.

The child has the files themselves, no pipe of ours, so that data flows as fast as disk and child can. How far it is
tells the position in the file, which parent and child share.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from berth.errors import Refused

Watch = Callable[[int], None]
"""Is told every second how many bytes the child has read, or written where it reads no file."""


class Opened(NamedTuple):
    """:param watched: the number of the file whose position is told."""

    stdin: int | None
    stdout: int | None
    watched: int | None
    watch: Watch | None

    @property
    def pause(self) -> float | None:
        """Seconds between two looks; None: there is nothing to look at."""
        return None if self.watch is None else 1.0

    def look(self) -> None:
        if self.watch is not None and self.watched is not None:
            self.watch(os.lseek(self.watched, 0, os.SEEK_CUR))


class Stdio(NamedTuple):
    """What a child reads and writes in place of our own stdin and stdout.

    :param stdin: a file, or a few bytes that stand in none, such as a password; 4096 at most.
    :param stdout: a file that is made or emptied, for its owner only.
    """

    stdin: Path | bytes | None = None
    stdout: Path | None = None
    watch: Watch | None = None

    def redirections(self, cwd: Path) -> str:
        """Return what a shell in ``cwd`` needs behind the line."""
        read = f" <{_short(self.stdin, cwd)}" if isinstance(self.stdin, Path) else ""
        return read + (f" >{_short(self.stdout, cwd)}" if self.stdout else "")

    @contextlib.contextmanager
    def opened(self) -> Iterator[Opened]:
        """Open the files.

        :raises Refused: one cannot be opened.
        """
        with contextlib.ExitStack() as stack:
            source = self._readable(stack)
            target = None if self.stdout is None else _open(self.stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, stack)
            watched = source if isinstance(self.stdin, Path) else target
            yield Opened(source, target, watched, self.watch)

    def _readable(self, stack: contextlib.ExitStack) -> int | None:
        if isinstance(self.stdin, bytes):
            read, write = os.pipe()
            stack.callback(os.close, read)
            # A pipe takes that many without a reader.
            os.write(write, self.stdin)
            os.close(write)
            return read
        return None if self.stdin is None else _open(self.stdin, os.O_RDONLY, stack)


def _open(path: Path, flags: int, stack: contextlib.ExitStack) -> int:
    try:
        number = os.open(path, flags, 0o600)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    stack.callback(os.close, number)
    return number


def _short(path: Path, cwd: Path) -> str:
    return shlex.quote(str(path.relative_to(cwd) if path.is_relative_to(cwd) else path))


OURS = Stdio()
