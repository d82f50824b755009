"""Hide secrets in the lines that are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

HIDDEN = "***"
LEAST_LENGTH = 8
"""Characters that a value must have to be searched for: a password `app` would hide the service of that name."""

_SECRET = r"(?i:[\w-]*(?:password|passwd|secret|token|credentials?|(?:secret|access|api|private)[_-]?key))"
_NAME = re.compile(_SECRET)
_OPTION = re.compile(rf"--?{_SECRET}")
_ASSIGNED = re.compile(rf"(?<![\w-])(-*{_SECRET}=)(?:'[^']*'|\"[^\"]*\"|[^\s'\"]+)")
_WHOLE = re.compile(rf"(-*{_SECRET}=).+", re.DOTALL)
_URL = re.compile(r"(\w://[^\s/:@]*:)[^\s/@]+(?=@)")


def is_secret(name: str) -> bool:
    """Tell whether a variable of that name holds a secret."""
    return _NAME.fullmatch(name) is not None


def redact(words: Sequence[str], secrets: Iterable[str] = ()) -> list[str]:
    """Return ``words`` with `***` for each secret.

    Secrets are the values in ``secrets``, if they are long enough, what is assigned to a name like `DB_PASSWORD` or
    `--api-key`, and the password of a URL.
    """
    long = sorted({secret for secret in secrets if len(secret) >= LEAST_LENGTH}, key=len, reverse=True)
    shown: list[str] = []
    for word in words:
        if shown and _OPTION.fullmatch(words[len(shown) - 1]) and not word.startswith("-"):
            shown.append(HIDDEN)
            continue
        for secret in long:
            word = word.replace(secret, HIDDEN)
        whole = _WHOLE.fullmatch(word)
        word = f"{whole[1]}{HIDDEN}" if whole else _ASSIGNED.sub(rf"\g<1>{HIDDEN}", word)
        shown.append(_URL.sub(rf"\g<1>{HIDDEN}", word))
    return shown
