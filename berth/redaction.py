"""Hide secrets in the lines that are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

HIDDEN = "***"
LEAST_LENGTH = 8
"""Characters that a value must have to be searched for: a password `app` would hide the service of that name."""

_KEYS = tuple(f"{kind}{dash}key" for kind in ("secret", "access", "api", "private") for dash in ("", "-", "_"))
_ENDS = ("password", "passwd", "secret", "token", "credential", "credentials", *_KEYS)
# Compiled at their first use: most lines have neither.
_ASSIGNED = r"(?i)(?<![\w-])([\w-]*(?:{ends})=)(?:'[^']*'|\"[^\"]*\"|[^\s'\"]+)".format(ends="|".join(_ENDS))
_URL = r"(\w://[^\s/:@]*:)[^\s/@]+(?=@)"


def is_secret(name: str) -> bool:
    """Tell whether a variable of that name holds a secret."""
    return name.lower().endswith(_ENDS)


def redact(words: Sequence[str], secrets: Iterable[str] = ()) -> list[str]:
    """Return ``words`` with `***` for each secret.

    Secrets are the values in ``secrets``, if they are long enough, what is assigned to a name like `DB_PASSWORD` or
    `--api-key`, and the password of a URL.
    """
    long = sorted({secret for secret in secrets if len(secret) >= LEAST_LENGTH}, key=len, reverse=True)
    return [
        HIDDEN if _is_value(before, word) else _redacted(word, long)
        for before, word in zip(["", *words], words, strict=False)
    ]


def _is_value(before: str, word: str) -> bool:
    """Tell whether ``word`` is the value of a secret option."""
    return before.startswith("-") and "=" not in before and is_secret(before) and not word.startswith("-")


def _redacted(word: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        word = word.replace(secret, HIDDEN)
    name, equals, value = word.partition("=")
    if value and is_secret(name) and not re.search(r"\s", name):
        return f"{name}={HIDDEN}"
    if equals:
        word = re.sub(_ASSIGNED, rf"\g<1>{HIDDEN}", word)
    return re.sub(_URL, rf"\g<1>{HIDDEN}", word) if "://" in word else word
