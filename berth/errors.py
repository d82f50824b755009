"""What every module of Berth raises when something is wrong that the user can change, and how such an end is told."""

from __future__ import annotations

from invoke import Exit

INTERRUPTED = 130
"""The exit code after Ctrl-C, as a shell gives it."""

PIPE_CLOSED = 141
"""The exit code when nobody reads any more, as of `inv --list | head -1`."""


class Refused(Exit):
    """An expected end: the message says what is wrong, where, and what to type.

    As Invoke's own `Exit` it ends any task in one line, the project's own too, whichever program runs it.

    :param message: empty where all was said already.
    :param code: the exit code.
    """

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message, code)


def expected(error: BaseException) -> Exit | None:
    """Return the end that an error comes down to, None: it is a fault of ours, which needs its traceback."""
    if isinstance(error, Exit):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Refused("", code=INTERRUPTED)
    if isinstance(error, BrokenPipeError):
        return Refused("", code=PIPE_CLOSED)
    if isinstance(error, OSError) and error.filename is not None:
        return Refused(f"{error.filename}: {error.strerror}")
    return None
