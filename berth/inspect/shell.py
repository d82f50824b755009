"""Find what shell commands install and start, wherever such lines stand: Dockerfiles, CI files, scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

INSTALLS = re.compile(
    r"\b(?:apt-get|apt|aptitude)\s[^\n&|;]*?(?<![-\w])install(?![-\w])|\bapk\s[^\n&|;]*?(?<![-\w])add(?![-\w])"
)
PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+$")


def packages(text: str) -> Iterator[tuple[str, int]]:
    """Give the system packages that apt or apk installs, each with the offset of its command.

    :param text: shell lines, continued ones with their backslashes.
    """
    for match in INSTALLS.finditer(text):
        rest = text[match.end() :]
        end = re.search(r"&&|[;|)]|\s#", rest)
        stop = min(end.start() if end else len(rest), _end_of_line(rest))
        for word in rest[:stop].replace("\\\n", " ").split():
            name = word.strip("'\"\\").partition("=")[0].partition(":")[0]
            if word.startswith(("-", "$", "`")):
                continue
            if PACKAGE.match(name):
                yield name, match.start()


def _end_of_line(text: str) -> int:
    """Return where the line ends, past those that a backslash continues."""
    position = 0
    for line in text.split("\n"):
        position += len(line) + 1
        if not line.rstrip().endswith("\\"):
            return position - 1
    return len(text)


def unbroken(text: str) -> str:
    """Return the lines of one instruction as one line, comments left out."""
    joined = " ".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))
    return re.sub(r"`\s*#[^`]*`", " ", joined)
