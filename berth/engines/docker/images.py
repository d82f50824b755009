"""Tell whether an image is older than the files that it was built from.

An image does not say what its files were, so a checkout remembers those of each image that it has seen. A build by
plain `docker compose` gives another image, of which nothing is known.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from berth.compose.config import Stack
from berth.project import Project

FILE = "images.json"


def sources(here: Project, stack: Stack, service: str) -> list[Path]:
    """Return the files that the image of ``service`` is built from, but for the code: its lock, and the scripts."""
    build = stack.definition(service)["build"]
    target, lock = build.get("target", ""), (build.get("args") or {}).get("DEV_LOCK")
    locks = [here.requirements / f"{lock if target == 'dev' and lock else target}.txt"]
    return [
        *filter(Path.is_file, locks),
        *sorted(
            path
            for path in stack.dockerfile(service).parent.rglob("*")
            if path.is_file() and path.parent.name != "__pycache__"
        ),
    ]


def changed(here: Project, image: str, key: str, files: list[Path]) -> list[str]:
    """Return which files of an image were changed since it was built or first seen.

    :param key: the engine's id of the image.
    """
    known = _known(here).get(image, {})
    if known.get("id") != key:
        return []
    before, now = known["files"], _digests(here, files)
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def remember(here: Project, image: str, key: str, files: list[Path], *, built: bool) -> None:
    """Remember the files of an image.

    :param built: it was built from them just now; else they count only for an image that is not known yet.
    """
    known = _known(here)
    if built or known.get(image, {}).get("id") != key:
        known[image] = {"id": key, "files": _digests(here, files)}
        here.state.mkdir(exist_ok=True)
        (here.state / FILE).write_text(json.dumps(known, indent=1), encoding="utf-8")


def _known(here: Project) -> dict[str, dict[str, Any]]:
    try:
        found: dict[str, dict[str, Any]] = json.loads((here.state / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _digests(here: Project, files: list[Path]) -> dict[str, str]:
    import hashlib  # not at every start of `inv`

    return {str(path.relative_to(here.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
