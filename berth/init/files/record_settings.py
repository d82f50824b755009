#!/usr/bin/env python3
"""Run a project's own manage.py, and note which variables it reads and what its settings are then.

usage: record_settings.py REPORT MANAGE_PY [ARGUMENT...]

Inside a container only, as all of the project's code is run. Writes JSON to the file REPORT, for what a project prints
while it starts is anybody's guess; where REPORT is `-`, as one line of its own behind a mark. Ends as manage.py ends.

REPORT holds `variables`: for each name that was asked for, `set` (it is in the environment), `default` (there was a
second choice), and `where` (the line that asked first); and `settings`, or null when they could not be loaded: no
password and no key is among them; and `paths`, the project's own that take no argument.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

HERE = globals().get("__file__", "")
MARK = "BERTH-RECORD "
FOUND: dict[str, dict[str, Any]] = {}
MISSING = object()
PLAIN = (
    "STATIC_ROOT", "STATIC_URL", "MEDIA_ROOT", "ALLOWED_HOSTS", "SECURE_SSL_REDIRECT", "SECURE_PROXY_SSL_HEADER",
    "DEBUG", "ROOT_URLCONF", "WSGI_APPLICATION", "ASGI_APPLICATION", "STATICFILES_STORAGE",
)  # fmt: skip


def note(name: object, has_default: bool) -> None:
    """Remember that a variable was asked for, and by which line outside of this file and the standard library."""
    if not isinstance(name, str):
        return
    frames = [frame for frame in traceback.extract_stack() if frame.filename not in {HERE, os.__file__}]
    frames = [frame for frame in frames if not frame.filename.startswith("<")]
    own = [frame for frame in frames if not re.search(r"/site-packages/|/lib/python", frame.filename)]
    where = next(reversed(own or frames), None)
    known = FOUND.setdefault(name, {
        "set": name in RAW, "default": has_default, "where": f"{where.filename}:{where.lineno}" if where else "",
    })  # fmt: skip
    known["default"] = known["default"] and has_default


class Recorder(type(os.environ)):  # type: ignore[misc]  # os._Environ, the class that all styles of reading end at
    """The environment, which remembers what it was asked for."""

    def __getitem__(self, key: str) -> str:
        note(key, False)
        return RAW[key]

    def __contains__(self, key: object) -> bool:
        note(key, True)
        return key in RAW

    def get(self, key: str, default: Any = None) -> Any:
        note(key, True)
        return RAW.get(key, default)

    def pop(self, key: str, default: Any = MISSING) -> Any:
        note(key, default is not MISSING)
        return RAW.pop(key) if default is MISSING else RAW.pop(key, default)

    def setdefault(self, key: str, value: str) -> str:
        note(key, True)
        return RAW.setdefault(key, value)


RAW = os.environ


def settings() -> dict[str, Any] | None:
    """Return what the settings say of servers and of answering requests; None when they could not be loaded."""
    if "django.conf" not in sys.modules or not sys.modules["django.conf"].settings.configured:
        return None
    found = sys.modules["django.conf"].settings
    report = {name: str(value) if isinstance(value, Path) else value
              for name in PLAIN if (value := getattr(found, name, MISSING)) is not MISSING}  # fmt: skip
    report["DATABASES"] = {
        alias: {key: str(entry.get(key, "")) for key in ("ENGINE", "HOST", "PORT", "NAME", "USER")}
        for alias, entry in found.DATABASES.items()
    }
    report["CACHES"] = {alias: str(entry.get("BACKEND", "")) for alias, entry in found.CACHES.items()}
    storages = getattr(found, "STORAGES", {})
    report["STORAGES"] = {alias: str(entry.get("BACKEND", "")) for alias, entry in storages.items()}
    broker = getattr(found, "CELERY_BROKER_URL", None) or getattr(found, "BROKER_URL", None) or ""
    # The scheme alone: what follows holds a password.
    report["BROKER"] = str(broker).partition("://")[0]
    return report


def paths() -> list[str]:
    """Return the paths of the project that take no argument; none, where they could not be read."""
    found: list[str] = []

    def walk(patterns: Any, before: str) -> None:
        for each in patterns:
            text = before + re.sub(r"^\^|\$$|\\Z$", "", str(each.pattern))
            if re.search(r"[<>()\[\]\\*+?|^$%]", text) or getattr(each, "app_name", "") == "djdt":
                continue
            if getattr(each, "app_name", "") == "admin":
                found.append(f"/{text}login/")
            elif hasattr(each, "url_patterns"):
                walk(each.url_patterns, text)
            elif f"/{text}" not in found:
                found.append(f"/{text}")

    try:
        walk(sys.modules["django.urls"].get_resolver().url_patterns, "")
    except Exception:  # whatever the project's modules raise
        return []
    return found


def main() -> None:
    target, manage = sys.argv[1], sys.argv[2]
    sys.argv = sys.argv[2:]
    sys.path[0] = str(Path(manage).absolute().parent)
    recorder = Recorder(RAW._data, RAW.encodekey, RAW.decodekey, RAW.encodevalue, RAW.decodevalue)  # type: ignore[attr-defined]
    os.environ = recorder  # noqa: B003  # the object that is asked, not what is in it
    try:
        runpy.run_path(manage, run_name="__main__")
    finally:
        os.environ = RAW  # noqa: B003
        report = {"variables": dict(sorted(FOUND.items())), "settings": settings(), "paths": paths()}
        text = json.dumps(report, default=str)
        if target == "-":
            print(f"\n{MARK}{text}", flush=True)
        else:
            Path(target).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
