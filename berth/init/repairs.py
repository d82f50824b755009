"""Read why a project does not start, and say what would mend it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from berth.init.variables import made_up

MARK = "BERTH-SETTINGS "
ASK = (
    "import json; from django.conf import settings as s; from django.db import connection as c; "
    f"print({MARK!r} + json.dumps({{'engine': c.settings_dict['ENGINE'], 'vendor': c.vendor, "
    "'hosts': [str(h) for h in s.ALLOWED_HOSTS], 'debug': bool(s.DEBUG), "
    "'https': bool(getattr(s, 'SECURE_SSL_REDIRECT', False))}))"
)
"""What manage.py's shell is told inside the container: the settings as Django has them after all imports."""
_MISSING = (
    re.compile(r"Set the ([A-Za-z_]\w*) environment variable"),
    re.compile(r"KeyError: ['\"]([A-Z_][A-Z0-9_]{2,})['\"]"),
    re.compile(r"UndefinedValueError: ([A-Za-z_]\w*) not found"),
    re.compile(r"[Ee]nvironment variable ['\"]?([A-Z_][A-Z0-9_]{2,})['\"]?,? (?:is )?(?:not set|not found|required|missing)"),
    re.compile(r"(?:Missing|required|Required|set the) (?:\w+ ){0,2}environment variable:? ['\"]?([A-Z_][A-Z0-9_]{2,})"),
    re.compile(r"ImproperlyConfigured: .*?\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b.*?(?:not|must|required)"),
)  # fmt: skip


@dataclass(frozen=True)
class Repair:
    """Answers that would mend a failure, and the words that say so."""

    answers: Mapping[str, str]
    said: str


def repair(output: str, tried: Mapping[str, str]) -> Repair | None:
    """Return what would mend a start that failed, or None.

    :param output: what it printed.
    :param tried: the answers that there are: what was set already is not the cause.
    """
    for pattern in _MISSING:
        for name in pattern.findall(output):
            if f"variable.{name}" not in tried and name != "DJANGO_SETTINGS_MODULE":
                value = made_up(name)
                return Repair({f"variable.{name}": value}, f"the project insists on {name}: it is `{value}` now")
    return None


def reason(output: str) -> str:
    """Return the line that says why a Python program failed: the last one of its traceback."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Configured|Warning|NotFound)\b.*", line)]
    return (errors or lines or ["it printed nothing"])[-1][:400]


def settings(output: str) -> Mapping[str, object]:
    """Return what `ASK` printed among all else, or nothing."""
    found = re.search(rf"{re.escape(MARK)}(\{{.*\}})", output)
    said = json.loads(found[1]) if found else {}
    return said if isinstance(said, dict) else {}
