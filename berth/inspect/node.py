"""Find the front ends that Node builds: package.json, the manager of its lock, the script that builds."""

from __future__ import annotations

import json
import re

from berth.inspect import dockerfile
from berth.inspect.model import Certainty, Fact, Place, Value
from berth.inspect.tree import Tree, is_test, line_of, parent

LOCKS = {
    "package-lock.json": "npm", "npm-shrinkwrap.json": "npm", "yarn.lock": "yarn", "pnpm-lock.yaml": "pnpm",
    "bun.lock": "bun", "bun.lockb": "bun",
}  # fmt: skip
ASIDE = re.compile(r"(^|/)(vendor|static|docs?|e2e|browser-tests|website|integration)(/|$)")


def find(tree: Tree, folder: str) -> list[Fact]:
    """Return a fact `node` for each package.json that could build something for the project, the nearest first.

    :param folder: that of manage.py.
    """
    files = [file for file in tree.named("package.json") if not is_test(file)]
    files.sort(key=lambda file: (bool(ASIDE.search(file)), _distance(file, folder), file.count("/"), file))
    facts = (_fact(tree, file, folder) for file in files[:12])
    return [fact for fact in facts if fact is not None]


def _distance(file: str, folder: str) -> int:
    home = parent(file)
    if home == folder:
        return 0
    return 1 if home.startswith(f"{folder}/" if folder else "") else 2


def _fact(tree: Tree, file: str, folder: str) -> Fact | None:
    text = tree.text(file)
    try:
        content = json.loads(text)
    except ValueError as error:
        tree.problems[Place(file)] = f"is no JSON that can be parsed: {error}"
        return None
    if not isinstance(content, dict):
        return None
    given = content.get("scripts")
    scripts: dict[str, object] = given if isinstance(given, dict) else {}
    build = next(
        (name for name in ("build", "build:prod", "build-prod", "prod", "production", "compile") if name in scripts),
        None,
    )
    lock, manager = _manager(tree, file, content)
    engines = content.get("engines")
    version = engines.get("node") if isinstance(engines, dict) else None
    value: dict[str, Value] = {
        "folder": parent(file) or ".",
        "manager": manager,
        "lock": lock,
        "build": build,
        "command": str(scripts[build]) if build else None,
        "scripts": sorted(str(name) for name in scripts),
        "node": str(version) if version else _image(tree),
    }
    used = build is not None or bool(content.get("dependencies"))
    certainty: Certainty = "likely" if ASIDE.search(file) or _distance(file, folder) == 2 else "certain"
    why = (
        "" if build else "it has no script that builds" if used else "it has no script that builds, and no dependencies"
    )
    offset = text.find(f'"{build}"') if build else 0
    return Fact("node", value, Place(file, line_of(text, max(offset, 0))), certainty, (), why)


def _manager(tree: Tree, file: str, content: dict[str, object]) -> tuple[str | None, str]:
    """Return the lock and the manager: by the lock beside it or above it, by what package.json names, else npm."""
    home: str | None = parent(file)
    while home is not None:
        for name, manager in LOCKS.items():
            lock = f"{home}/{name}".lstrip("/")
            if lock in tree:
                return lock, manager
        home = parent(home) if home else None
    named = str(content.get("packageManager") or "").partition("@")[0]
    return None, named if named in {"npm", "yarn", "pnpm", "bun"} else "npm"


def _image(tree: Tree) -> str | None:
    for instructions in dockerfile.by_file(tree).values():
        for image, _ in dockerfile.images(instructions):
            if match := re.search(r"(?:^|/)node:([\w.-]+)", image):
                return match[1]
    for file in tree.named(".nvmrc", ".node-version"):
        return tree.text(file).strip() or None
    return None
