"""List and read the files of a project, without git and without anything that is not the project's own."""

from __future__ import annotations

import codecs
import fnmatch
import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

from berth.inspect.model import Place

SKIPPED = frozenset({
    ".git", ".hg", ".svn", ".berth", ".tox", ".nox", ".eggs", ".idea", ".vscode", ".claude", ".terraform",
    ".yarn", ".pnpm-store", ".ipynb_checkpoints", "node_modules", "bower_components", "__pycache__",
    "__pypackages__", "site-packages",
})  # fmt: skip
MOST_FILES = 60_000
LARGEST = 4_000_000
"""In bytes; a larger file is data."""


class Tree:
    """The files below a folder.

    :param root: the project's root.
    :param ignored: files that are not the project's own.

    What cannot be read is put down in ``problems`` and reads as an empty text.
    """

    def __init__(self, root: Path, ignored: Collection[str] = ()) -> None:
        self.root = root
        self._ignored = frozenset(ignored)
        self.problems: dict[Place, str] = {}
        self._texts: dict[str, str] = {}
        self._named: dict[tuple[str, ...], list[str]] = {}
        self.files: tuple[str, ...] = tuple(self._walk())
        self._known = frozenset(self.files)

    def __contains__(self, file: object) -> bool:
        return file in self._known

    def _walk(self) -> Iterator[str]:
        count = 0
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not _skipped(folder, name))
            relative = os.path.relpath(folder, self.root)
            for name in sorted(names):
                count += 1
                file = name if relative == "." else f"{relative}/{name}".replace(os.sep, "/")
                if file not in self._ignored:
                    yield file
            if count > MOST_FILES:
                self.problems[Place("")] = f"more than {MOST_FILES} files: the rest was not looked at"
                return

    def named(self, *patterns: str) -> list[str]:
        """Return the files whose name, without folders, matches one of the shell patterns; the nearest to the root
        first."""
        if patterns not in self._named:
            matching = re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns))
            found = [file for file in self.files if matching.match(file.rpartition("/")[2])]
            self._named[patterns] = sorted(found, key=lambda file: (file.count("/"), file))
        return list(self._named[patterns])

    def below(self, folder: str, *patterns: str) -> list[str]:
        """Return the files anywhere below ``folder`` ("" is the root) whose name matches one of the patterns."""
        prefix = f"{folder}/" if folder else ""
        return [file for file in self.named(*patterns) if file.startswith(prefix)]

    def beside(self, folder: str, *patterns: str) -> list[str]:
        """Return the files right in ``folder`` whose name matches one of the patterns."""
        return [file for file in self.below(folder, *patterns) if parent(file) == folder]

    def text(self, file: str) -> str:
        """Return what a file holds, decoded as UTF-8, else as Latin-1; empty when it cannot be read."""
        if file not in self._texts:
            self._texts[file] = self._read(file)
        return self._texts[file]

    def _read(self, file: str) -> str:
        try:
            data = self._bytes(file)
        except OSError as error:
            self.problems[Place(file)] = f"cannot be read: {error.strerror}"
            return ""
        if data[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
            # As PowerShell writes what `pip freeze` prints.
            return data.decode("utf-16", errors="replace").replace("\r\n", "\n")
        try:
            return data.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError:
            # Text in a code page of old; binary data would be of no use in any encoding.
            self.problems[Place(file)] = "is not UTF-8: read as Latin-1"
            return data.decode("latin-1").replace("\r\n", "\n")

    def _bytes(self, file: str) -> bytes:
        path = self.root / file
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise OSError(0, "it is a link that leads out of the project")
        if not path.is_file():
            raise OSError(0, "it is no file, or a link that leads nowhere")
        if path.stat().st_size > LARGEST:
            raise OSError(0, f"it is larger than {LARGEST} bytes")
        return path.read_bytes()

    def holding(self, files: Iterable[str], *words: str) -> list[str]:
        """Return those of ``files`` that hold one of ``words``. It reads bytes: quick enough for every file."""
        wanted = [word.encode() for word in words]
        found = []
        for file in files:
            try:
                with open(self.root / file, "rb") as stream:
                    data = stream.read(LARGEST)
            except OSError:
                continue  # a link that leads nowhere; `text` would put it down, but nobody asked for this file
            if any(word in data for word in wanted):
                found.append(file)
        return found


def _skipped(folder: str, name: str) -> bool:
    if name in SKIPPED or (name.startswith(".") and name.endswith("cache")):
        return True
    return os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))


def parent(file: str) -> str:
    """Return the folder of a file, "" for the root."""
    return file.rpartition("/")[0]


def line_of(text: str, offset: int) -> int:
    """Return the number of the line that holds the character at ``offset``, counted from 1."""
    return text.count("\n", 0, offset) + 1


def is_test(file: str) -> bool:
    """Tell whether a file belongs to tests, examples or documentation, going by its path."""
    words = {
        "tests", "test", "testing", "unittests", "testdata", "test_data", "examples", "example", "docs", "doc",
        "documentation", "fixtures", "sandbox", "demo", "demos",
    }  # fmt: skip
    path = PurePosixPath(file)
    return bool(words & set(path.parts[:-1])) or path.name.startswith(("test_", "conftest"))
