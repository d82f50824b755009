"""Hide secrets in the lines that are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

HIDDEN = "***"

_KEYS = tuple(f"{kind}{dash}key" for kind in ("secret", "access", "api", "private") for dash in ("", "-", "_"))
_ENDS = ("password", "passwd", "secret", "token", "credential", "credentials", *_KEYS)
# Compiled at their first use: most lines have none of these.
_VALUE = r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"]+)"
_ASSIGNED = rf"(?i)(?<![\w-])([\w-]*(?:{'|'.join(_ENDS)})=){_VALUE}"
# In JSON, YAML and SQL: "password": "x", password: 'x', PASSWORD 'x'.
_QUOTED = rf"(?i)(?<![\w-])([\w-]*(?:{'|'.join(_ENDS)})[\"']?\s*:?\s*)(?:'[^']*'|\"[^\"]*\")"
_OPTION = rf"(?i)((?:^|\s)--?[\w-]*(?:{'|'.join(_ENDS)})\s+)(?!-){_VALUE}"
_HEADER = r"(?i)(\bauthorization:\s*\w+\s+)[^\s'\"]+"
_URL = r"(\w://[^\s/:@]*:)[^\s/@]+(?=@)"


def is_secret(name: str) -> bool:
    """Tell whether a variable of that name holds a secret."""
    return name.lower().endswith(_ENDS)


def redact(words: Sequence[str], secrets: Iterable[str] = ()) -> list[str]:
    """Return ``words`` with `***` for each secret.

    Secrets are what is assigned to a name like `DB_PASSWORD` or `--api-key`, in a word of its own or within one, the
    password of a URL and of an `Authorization`; and, wherever they stand, the values in ``secrets`` that can hardly be
    anything else: the password `postgres` is a user's and a program's name, too, and would only be hidden where it
    stands as the password.
    """
    sure = sorted({secret for secret in secrets if _is_unmistakable(secret)}, key=len, reverse=True)
    return [
        HIDDEN if _is_value(before, word) else _redacted(word, sure)
        for before, word in zip(["", *words], words, strict=False)
    ]


def _is_unmistakable(secret: str) -> bool:
    """Tell whether a secret is so long or so mixed that no service, user, host or folder will be called like it."""
    kinds = sum(bool(re.search(kind, secret)) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^a-zA-Z0-9]"))
    return len(secret) >= 16 or (len(secret) >= 12 and kinds >= 2) or (len(secret) >= 8 and kinds >= 3)


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
    if re.search(r"\s", word) or ":" in word:
        for within in (_QUOTED, _OPTION, _HEADER):
            word = re.sub(within, rf"\g<1>{HIDDEN}", word)
    return re.sub(_URL, rf"\g<1>{HIDDEN}", word) if "://" in word else word
