"""Ask what our terminal is, and leave it as it was."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from collections.abc import Iterator

LOCAL_MODES = 3
"""Where `termios.tcgetattr` has them."""


def is_terminal() -> bool:
    """Tell whether a person types and reads here: docker allocates a terminal only when both ends are one."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("CI", "").lower() in {"", "0", "false"}


def looks() -> dict[str, str]:
    """Return variables that make Compose, BuildKit and others print plain text where no person reads."""
    dumb = os.environ.get("TERM") == "dumb"
    if is_terminal() and not dumb:
        return {}
    colours = {} if "FORCE_COLOR" in os.environ else {"NO_COLOR": "1", "COMPOSE_ANSI": "never"}
    return {"COMPOSE_PROGRESS": "plain", "BUILDKIT_PROGRESS": "plain", **colours}


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Leave the terminal as it was: a child that is killed while it reads single keys leaves them unseen."""
    try:
        before = termios.tcgetattr(sys.stdin.fileno())
    except (termios.error, OSError, ValueError):
        yield  # no terminal
        return
    try:
        yield
    finally:
        # From the background it would stop us.
        if _in_foreground():
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, before)


def interrupts() -> bool:
    """Tell whether a SIGINT may come from the keyboard: where a child reads single keys, Ctrl-C is one of them."""
    return _in_foreground() and bool(termios.tcgetattr(sys.stdin.fileno())[LOCAL_MODES] & termios.ISIG)


def open_closed_streams() -> None:
    """Put `/dev/null` in the place of a stdin, stdout or stderr that is closed, as `>&-` in a shell leaves it.

    Python has None there, and the next file or pipe that is opened gets the number.
    """
    for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (it stays open)
            if getattr(sys, name).fileno() == number:
                os.set_inheritable(number, True)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
