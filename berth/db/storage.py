"""Keep dumps on this machine: whole, for their owner only, with what is known of them beside each."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from berth.db import dumps, facts
from berth.errors import Refused

UNFINISHED = ".unfinished"
BLOCK = 1 << 20
CLEARED = "\r\x1b[K"
EVERY = 10.0
"""Seconds between two lines of progress where no person watches."""


def folder(state: Path) -> Path:
    """Make and return the folder of the dumps of a checkout; what a killed task has left there is taken away."""
    found = state / "dumps"
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear(found)
    return found


def _clear(place: Path) -> None:
    """Take away what killed tasks of this machine have left in a folder."""
    for left in place.glob(f".*.{glob.escape(platform.node())}.*{UNFINISHED}*"):
        found = re.search(rf"\.(\d+){re.escape(UNFINISHED)}(\.json)?$", left.name)
        if found and not psutil.pid_exists(int(found[1])):
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Give the name under which a dump is written; what has it at the end is taken away.

    So is what a killed task has left beside it.
    """
    written = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}{UNFINISHED}")
    _clear(path.parent)
    try:
        yield written
    finally:
        written.unlink(missing_ok=True)


def finish(written: Path, path: Path, known: dumps.Known) -> None:
    """Give a dump its name, with what is known of it beside.

    :raises Refused: the name was taken meanwhile, or the disk is full.
    """
    text = written.with_name(f"{written.name}.json")
    try:
        text.write_text(known.text(), encoding="utf-8")
        text.chmod(0o600)
        # What is known without a dump means nothing; a dump of which nothing is known would be loaded unchecked.
        text.replace(dumps.beside(path))
        os.link(written, path)
    except FileExistsError:
        raise Refused(f"{path} exists already: choose another name") from None
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from None
    finally:
        text.unlink(missing_ok=True)


@contextlib.contextmanager
def packed(path: Path) -> Iterator[Path]:
    """Give a folder of pg_dump as one file, which is gone afterwards."""
    with unfinished(path) as written:
        try:
            dumps.packed(path, written)
            yield written
        except OSError as error:
            raise Refused(f"{written} cannot be written: {error.strerror}") from None


def sha256(path: Path) -> str:
    """Return the checksum of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def check_sum(path: Path, known: dumps.Known | None) -> None:
    """:raises Refused: the file is not the one of which ``known`` speaks."""
    if known and sha256(path) != known.sha256:
        raise Refused(
            f"{path} is not as it was made, its checksum is another one: nothing was touched; take another copy of it"
        )


def progress(verb: str, total: int = 0) -> Callable[[int], None]:
    """Return what shows how far a dump is: one line that changes on a terminal, else one every ten seconds.

    Thirty lines instead of a library such as tqdm: that would be one more dependency of every project that uses Berth.

    :param total: bytes in all; 0: nobody knows.
    """
    started = time.monotonic()
    told = [started]

    def show(done: int) -> None:
        now, person = time.monotonic(), sys.stderr.isatty()
        if not person and now - told[0] < EVERY:
            return
        told[0] = now
        said = _sentence(verb, done, total, now - started)
        print(f"{CLEARED}{said}" if person else said, end="" if person else "\n", file=sys.stderr, flush=True)

    return show


def _sentence(verb: str, done: int, total: int, seconds: float) -> str:
    rate = done / seconds if seconds else 0.0
    said = f"{verb} {facts.size(done)}{f' of {facts.size(total)}' if total else ''}, {facts.size(int(rate))}/s"
    return f"{said}, {(total - done) / rate:.0f} s left" if total and rate and done < total else said


def end_of_progress() -> None:
    """Begin a new line where one was shown that changes."""
    if sys.stderr.isatty():
        print(CLEARED, end="", file=sys.stderr, flush=True)
