"""Put new files into a project, all or none; compare; take them away again."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from berth.errors import Refused
from berth.init import state
from berth.init.state import State
from berth.init.texts import is_executable

BESIDE = ".berth-new"
"""Ends the name of what stands beside a file that is not to be replaced."""


def content(path: Path) -> bytes | None:
    """Return what a file holds; None where there is none, or a link, which may lead to a file that is not ours."""
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def recall(root: Path) -> tuple[State | None, str]:
    """Return what an earlier run has written, and the path of its state file; None and "" when there was none.

    :raises Refused: it is not to be read, or a newer Berth has written it.
    """
    for folder in state.FOLDERS:
        path = f"{folder}/{state.NAME}"
        if (root / path).is_file():
            known = state.load((root / path).read_text(encoding="utf-8"), path)
            state.check_version(known, path)
            return known, path
    return None, ""


def write(root: Path, texts: Mapping[str, str]) -> list[str]:
    """Write files that do not exist yet, and return their paths; those that exist stay as they are.

    If one cannot be written, those that were are taken away again.

    :raises Refused: one cannot be written.
    """
    done: list[Path] = []
    folders: list[Path] = []
    try:
        for name, text in texts.items():
            path = root / name
            if os.path.lexists(path):
                continue
            folders += _made_folders(path.parent)
            _link(path, text.encode())
            done.append(path)
    except OSError as error:
        for path in done:
            path.unlink(missing_ok=True)
        for folder in reversed(folders):
            folder.rmdir()
        raise Refused(f"{error.filename or root} cannot be written ({error.strerror}): nothing was changed") from None
    return [path.relative_to(root).as_posix() for path in done]


def make_folder(root: Path, name: str) -> bool:
    """Make a folder below the root; tell whether it was not there."""
    folder = root / name
    if folder.exists() or not folder.resolve().is_relative_to(root.resolve()):
        return False
    folder.mkdir(parents=True)
    return True


def _made_folders(folder: Path) -> list[Path]:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def create(path: Path, text: bytes) -> None:
    """Write a new file, and the folders above it; one that is there already stays as it is."""
    _made_folders(path.parent)
    with contextlib.suppress(FileExistsError):
        _link(path, text)


def _link(path: Path, text: bytes) -> None:
    """Write a new file, whole or not at all.

    :raises FileExistsError: there is one already.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, (0o777 if is_executable(text) else 0o666) & ~umask)
        os.link(name, path)
    finally:
        os.unlink(name)


def renew(root: Path, known: State, texts: Mapping[str, str]) -> list[str]:
    """Write files anew that are as an earlier run left them, and new ones; return the paths of what was written."""
    done = []
    for name, text in texts.items():
        path, before = root / name, known.texts.get(name)
        if before is None and not os.path.lexists(path):
            done += write(root, {name: text})
        elif before is not None and before != text and path.is_file() and path.read_bytes() == before.encode():
            replace(path, text.encode())
            done.append(name)
    return done


def replace(path: Path, text: bytes) -> None:
    """Replace a file at once; its permissions stay, but that a script becomes executable for who may read it."""
    mode = path.stat().st_mode
    mode |= (mode & 0o444) >> 2 if is_executable(text) else 0
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(text)
        os.chmod(name, mode & 0o7777)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def differing(root: Path, texts: Mapping[str, str]) -> dict[str, str]:
    """Return the paths that are not as in ``texts``, with how: `missing` or `changed`."""
    found = {}
    for name, text in texts.items():
        path = root / name
        if not path.is_file():
            found[name] = "missing"
        elif path.read_bytes() != text.encode():
            found[name] = "changed"
    return found


def remove(root: Path, known: State, state_path: str) -> tuple[list[str], list[str]]:
    """Delete what an earlier run has written, and return the paths; those that somebody has changed since stay, and
    are returned apart."""
    changes = differing(root, known.texts)
    kept = [name for name, how in changes.items() if how == "changed"]
    gone = [name for name in known.texts if name not in changes]
    for name in [*gone, state_path]:
        delete(root, name)
    return gone, kept


def delete(root: Path, name: str) -> None:
    """Delete a file, and the folders that are empty then."""
    (root / name).unlink(missing_ok=True)
    for folder in (root / name).parents:
        if folder == root or any(folder.iterdir()):
            break
        folder.rmdir()


@contextlib.contextmanager
def aside(texts: Mapping[str, bytes]) -> Iterator[Path]:
    """Write files for a program that reads nothing else, and give their folder; then they go."""
    with tempfile.TemporaryDirectory(prefix="berth-") as made:
        for name, text in texts.items():
            (Path(made) / name).write_bytes(text)
        yield Path(made)
