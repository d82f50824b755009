"""The files that a project gets from Berth, and owns from then on.

The repository of Berth is the template: a checkout gives the files from where they stand, and a wheel holds copies of
them in this folder, see `force-include` in pyproject.toml. Only noxfile.py stands here in both: the one at the root has
the sessions of Berth's own development, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
"""Of a checkout; an installed package has nothing to do with it."""

NAMES = ("tasks.py", ".env.template", ".dockerignore", "docker", "requirements/build.in", "requirements/build.txt")
"""Files and folders at the same places in a project. Locks of its packages it has its own; this one is of what builds
images, and the Dockerfile has it."""
NOXFILE = "noxfile.py"


class File(NamedTuple):
    """A file of the template.

    :param path: where it goes, below the root of a project.
    :param source: what to copy there, with its mode: some are scripts.
    """

    path: PurePosixPath
    source: Path


def files() -> list[File]:
    """Return the files of the template, by path: from an installed package or a checkout."""
    base = HERE if (HERE / NAMES[0]).exists() else ROOT
    found = [File(PurePosixPath(NOXFILE), HERE / NOXFILE)]
    found += [File(PurePosixPath(path.relative_to(base)), path) for name in NAMES for path in _files(base / name)]
    return sorted(found)


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or all below a folder but those that Python or a desktop leaves there."""
    if not path.is_dir():
        yield path
        return
    for child in path.iterdir():
        if child.name not in {"__pycache__", ".DS_Store"}:
            yield from _files(child)
