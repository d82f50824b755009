"""Read what the stack is to hold of this machine, and hand the engine what it only takes as a file."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from berth.deploy.swarm.stack import Contents
from berth.errors import Refused
from berth.project import Project

LIMIT = 500_000
"""Bytes: Swarm keeps no larger secret, and twice that as a config."""

MANY = 30
"""Files: a folder with more is no configuration."""


def read(paths: Iterable[str]) -> Contents:
    """Return the files below each of ``paths`` by their paths in it, and one that is a file itself as `""`.

    :raises Refused: one is missing, empty or too large for a config, or a folder holds too many.
    """
    return {path: _below(Path(path)) for path in paths}


def _below(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    if not files or len(files) > MANY:
        raise Refused(
            f"{path} is to be part of the stack, but {f'holds {len(files)} files' if files else 'is missing'}"
        )
    found = {}
    for file in files:
        content = file.read_bytes()
        if not 0 < len(content) <= LIMIT:
            raise Refused(f"{file} has {len(content)} bytes: Docker Swarm takes 1 to {LIMIT}")
        found["" if file == path else file.relative_to(path).as_posix()] = content
    return found


@contextlib.contextmanager
def handed(here: Project, content: bytes, name: str) -> Iterator[str]:
    """Give the path of a file with that content, from the project's root, which nobody else can read, for a while."""
    here.state.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="deploy-", dir=here.state) as folder:
        file = Path(folder, name)
        file.write_bytes(content)
        yield str(file.relative_to(here.root))
