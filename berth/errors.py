"""What every module of Berth raises when something is wrong that the user can change."""

from __future__ import annotations


class Refused(Exception):
    """An expected end: the message says what is wrong, where, and what to type.

    Tasks end with it in one place, `berth.arguments.Task`: no traceback, the message on stderr, and the code.

    :param code: the exit code.
    """

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
