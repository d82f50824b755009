r"""Read a `.env`, and change values in it.

A line is blank, a comment, or an assignment in one of these forms, each of which has one meaning only:

    NAME=word                  one word; a quote or `#` may not be its first character
    NAME='any text'            as it stands: no `'`, no `\\`
    NAME="it's ${OTHER}"       `\\`, `\"` and `\n` stand for a backslash, a quote and a line end

`export ` may stand in front, and ` # a comment` behind a value. But for single quotes, `${OTHER}` is a variable that is
set above or in the environment, and `$$` a dollar sign. All else is a fault: the line and its variable are named, and
no task runs. So Docker Compose, in both of its majors, sees what we see: tests/env/test_against_compose.py proves it.

Why no library: python-dotenv, the closest to Compose, reads `$`, escapes, `KEY: value`, blanks and what stands behind
quotes differently; a check of each statement was twice the code of reading it, and its import the slowest of a start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from berth.errors import Refused

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_ASSIGNMENT = re.compile(
    rf"""
    (?P<head>[ \t]*(?:export[ \t]+)?(?P<name>{_NAME})=)
    (?:(?P<value>
        '(?P<single>(?:[^'\\]|\\(?!['\\]))*)' | "(?P<double>(?:[^"\\]|\\["\\n])*)" | (?P<bare>[^\s'"\#]\S*)
    )(?:[ ]+\#.*)?)?
    [ \t]*
    """,
    re.VERBOSE,
)
_NOTHING = re.compile(r"[ \t]*(?:#[^\r\0]*)?")
_MEANT = re.compile(rf"[ \t]*(?:export[ \t]+)?({_NAME})(=|[ \t]*[=:])(\S?)")
_REFERENCE = re.compile(rf"\$(?:\$|\{{({_NAME})\}})", re.ASCII)
UNSET = "refers to a variable that is not set above it: write `$$` for a dollar sign"


class EnvError(Refused):
    """Something the user has to change first; the message says what, where and how."""


class Fault(NamedTuple):
    """A line that Berth cannot or should not use."""

    line: int
    name: str
    """The variable that the line sets, or was meant to; empty where that is not clear."""
    text: str
    """What is wrong, and what to do; it holds nothing of a value."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.name} {self.text}" if self.name else f"line {self.line}: {self.text}"


class Env(NamedTuple):
    """What Compose gets from a `.env`; exactly so when there are no faults."""

    values: Mapping[str, str]
    """The variables of the file; the process environment wins, as in Compose."""
    lines: Mapping[str, int]
    """The line that sets each variable, the last one if there are several."""
    overridden: frozenset[str]
    """Variables of the file whose value comes from the process environment."""
    faults: Sequence[Fault]


def read(path: Path, environ: Mapping[str, str]) -> Env:
    """Read a `.env` file, see `parse`.

    Raises:
        FileNotFoundError: there is nothing at the path.
        EnvError: it cannot be read.
    """
    return parse(read_text(path), environ)


def parse(text: str, environ: Mapping[str, str]) -> Env:
    """Read the text of a `.env` file, line ends as they are in the file.

    Args:
        text: the text.
        environ: the process environment that Compose would get.
    """
    written: dict[str, str] = {}
    lines: dict[str, int] = {}
    faults = []
    for line, row in enumerate(rows(text), start=1):
        match = assignment(row)
        if match is None:
            if not _NOTHING.fullmatch(row):
                faults.append(_fault(line, row))
            continue
        name = match["name"]
        if name in lines:
            faults.append(Fault(line, name, f"is set on line {lines[name]} already: delete one"))
        lines[name] = line
        written[name], wrong = _value(match, {**written, **environ})
        if wrong:
            faults.append(Fault(line, name, wrong))
    overridden = frozenset(written.keys() & environ.keys())
    return Env({**written, **{name: environ[name] for name in overridden}}, lines, overridden, faults)


def rows(text: str) -> list[str]:
    """Return the lines of a text, without a byte order mark and line ends."""
    return [row.removesuffix("\r") for row in text.removeprefix("\ufeff").split("\n")]


def assignment(row: str) -> re.Match[str] | None:
    """Return the parts of `NAME=value`: `name`, and `value` as it is written, None if there is none."""
    return None if "\r" in row or "\0" in row else _ASSIGNMENT.fullmatch(row)


def optional(row: str) -> re.Match[str] | None:
    """Return the parts of `# NAME=value`, likewise; `# NAME=value does this` is a sentence."""
    return assignment(row[2:]) if row.startswith("# ") and "=" in row and row[2] not in " \t" else None


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Return the text of a `.env` with variables set.

    Lines that set the variable get the new value; else its `# NAME=value` becomes active; else a line is
    appended. Everything else stays as it is, line ends and comments behind values too.

    Raises:
        EnvError: a value cannot be written, see `quote`.
    """
    active = {match["name"] for row in rows(text) if (match := assignment(row))}
    done: set[str] = set()
    changed = text.split("\n")
    for index, row in enumerate(rows(text)):
        match = assignment(row) or optional(row)
        if match and match["name"] in values and (assignment(row) or match["name"] not in active | done):
            done.add(match["name"])
            behind = match.string[max(match.end("head"), match.end("value")) :]
            mark = "\ufeff" if changed[index].startswith("\ufeff") else ""
            end = "\r" if changed[index].endswith("\r") else ""
            changed[index] = mark + match["head"] + quote(values[match["name"]]) + behind + end
    end = "\r\n" if "\r\n" in text else "\n"
    missing = "".join(f"{name}={quote(value)}{end}" for name, value in values.items() if name not in done)
    return "\n".join(changed) + (end if missing and changed[-1] else "") + missing


def quote(value: str) -> str:
    r"""Return the text after `NAME=` that Compose, both of its majors, and `parse` read as `value`.

    Raises:
        EnvError: it holds what no `.env` can: a NUL, a carriage return or half a surrogate pair.
    """
    if re.search("[\0\r\ud800-\udfff]", value):
        raise EnvError("a value for .env has a NUL, a carriage return or half a surrogate pair: leave it out")
    if re.fullmatch(r"[A-Za-z0-9_./:@%+,=-]+", value):
        return value
    if not re.search(r"['\\\n]", value):
        return f"'{value}'"
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("$", "$$")):
        value = value.replace(plain, escaped)
    return f'"{value}"'


def read_text(path: Path) -> str:
    """Return the text of a file with its line ends, for `with_values`.

    Raises:
        FileNotFoundError: there is nothing at the path.
        EnvError: the file cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        if not path.is_symlink():
            raise
        target = path.readlink()
        raise EnvError(f"{path.name} is a link to {target}, which is not there: remove the link") from None
    except IsADirectoryError:
        raise EnvError(f"{path.name} is a folder: move it away, a file belongs there") from None
    except OSError as error:
        raise EnvError(f"{path.name} cannot be read ({error.strerror}): `ls -l {path}` shows whose it is") from None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EnvError(f"{path.name} cannot be read: line {line} is not UTF-8: save the file as UTF-8") from None


def _value(match: re.Match[str], known: Mapping[str, str]) -> tuple[str, str]:
    """Return the value of an assignment, and what is wrong with its references."""
    if match["single"] is not None:
        return match["single"], ""
    value = match["bare"] or re.sub(r"\\(.)", lambda escape: escape[1].replace("n", "\n"), match["double"] or "")
    if "$" in _REFERENCE.sub("", value):
        return "", "has a `$` alone: write `$$` or single quotes for a dollar sign, `${NAME}` for another variable"
    if any(name and name not in known for name in _REFERENCE.findall(value)):
        return "", UNSET
    return _REFERENCE.sub(lambda found: known[found[1]] if found[1] else "$", value), ""


def _fault(line: int, row: str) -> Fault:
    """Say what keeps a row from being an assignment, and of which variable."""
    meant = _MEANT.match(row)
    if "\r" in row or "\0" in row:
        text = "has a NUL, or a carriage return without a line feed: save the file as plain text, with LF or CRLF"
    elif not meant:
        text = "not `NAME=value`: a name has ASCII letters, digits and `_`, a comment starts with `#`"
    elif meant[2] != "=" or not meant[3]:
        text = f"needs `=`, and the value directly behind it: write `{meant[1]}=value`"
    elif meant[3] == "#":
        text = "has a comment in place of a value: give the comment a line of its own, or the value single quotes"
    elif meant[3] in "'\"":
        text = (
            "has quotes that are not closed on this line, other than ` # a comment` behind them, or a backslash that "
            'has more than one meaning: in double quotes write `\\\\`, `\\"` or `\\n`'
        )
    else:
        text = "has a value of more than one word: put it in single quotes"
    return Fault(line, meant[1] if meant else "", text)
