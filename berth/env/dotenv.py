"""Look after `.env` and `.env.template`: read, check, create and change them as Docker Compose reads them.

The template is the manual and the schema of `.env`:

    KEY=          has to be filled in
    KEY=value     has a working default
    # KEY=value   is optional; exactly one `# `, and a value without spaces or in quotes

Each variable stands directly below a comment line that says what it is for. A line `#: secret`,
`#: project name`, `#: user id`, `#: group id`, `#: free port` or `#: ca bundle` between the two says how its value
is made when `.env` is created; an optional variable becomes active if its value could be made.

Reading is python-dotenv's work: it finds the statements, their lines and their values. It is the kept parser
on PyPI that comes closest to Compose (yaenv refuses values of several lines), and environs, which reads the
settings of Django projects, is built on it. Compose 2.26 and 5.6 read alike; python-dotenv differs in:

- `$`: Compose expands `$A`, `${A-x}`, `${A:+x}`, `${A:?x}` and `$$` too, and nothing in single quotes.
  `_expand` does so on the parser's values; operators but `-` and `:-`, and nested references, are faults;
- two backslashes in single quotes, and a backslash before `'`, `$` or `0` in double quotes: faults;
- a tab before the `#` behind a bare value, and `KEY= # comment`, which Compose reads as the value: faults;
- `KEY: value`, `KEY` alone, quoted names, text or a second statement behind a closing quote: faults;
- a carriage return without a line feed (a blank in Compose), blanks other than space and tab: faults.

So a statement counts only in a form that both read alike, `_STATEMENT`. Everything else is a fault with its
line, and a file without faults has the values that Compose sees: tests/test_env_against_compose.py.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from berth.errors import Refused
from berth.nearest import closest
from berth.redaction import is_secret

if TYPE_CHECKING:
    from dotenv.parser import Binding

DIRECTIVES = ("secret", "project name", "user id", "group id", "free port", "ca bundle")

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_STATEMENT = re.compile(
    rf"""
    (?P<head>[ \t\r\n]*(?:export[ \t]+)?(?P<name>{_NAME})[ \t]*=[ \t]*)
    (?P<value>
        (?P<single>'(?:[^'\\]|\\[^\\])*')
      | "(?:[^"\\]|\\[^'$0])*"
      | (?P<bare>[^\s'"\#](?:\S|[ \t]+[^\s\#])*)
    )?
    (?P<tail>(?(bare)(?:[ \t]*[ ]\#.*)?|(?(value)(?:[ \t]*\#.*)?))[ \t]*(?:\r?\n)?)
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(f"{_NAME}=[A-Za-z0-9_./:@%+,=-]*")
_NO_STATEMENT = re.compile(r"[ \t\r\n]*(?:#.*)?[ \t\r\n]*")
# The value of an optional variable is one word or quoted: `# DEBUG=1 shows more` is a sentence.
_ASSIGNED = rf" {_NAME}=(?:['\"].*|\S*(?:[ ]+\#.*)?)\r?$"
_OPTIONAL = re.compile(rf"^#(?={_ASSIGNED}) ", re.MULTILINE)
_COMMENT = re.compile(rf"#(?!:)(?!{_ASSIGNED}).*\w")
_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<plain>[_a-z][_a-z0-9]*)"
    r"|\{(?P<braced>[_a-z][_a-z0-9]*)(?:(?P<operator>:?-)(?P<default>[^${}\n]*))?\}|(?P<unknown>\{))",
    re.IGNORECASE,  # and not re.ASCII: Compose, too, takes U+017F for an s and U+212A for a k
)
_ADVICE = (
    ("KEY[ \t]*:", "`KEY: value` is not understood by every reader of .env: write `KEY=value`"),
    ("KEY[ \t]*(\n|\r|$)", "no `=` after the name: write `KEY=value`"),
    (
        "KEY[ \t]*=[ \t]*['\"]",
        "quotes that readers of .env understand differently: close them, write nothing but a comment after"
        ' them; between double quotes write `\\\\`, `\\"`, `\\n` or `$$` for a backslash, quote, line end or'
        " dollar sign",
    ),
    ("KEY[ \t]*=[ \t]*#", "a comment cannot follow an empty value: move it to a line of its own"),
    ("KEY[ \t]*=", "a value that readers of .env understand differently: put it in single quotes"),
    ("", "not `KEY=value`: a name has ASCII letters, digits and `_`, a comment starts with `#`"),
)


class EnvError(Refused):
    """Something the user has to change first; the message says what, where and how."""


class Fault(NamedTuple):
    """A line that Berth cannot or should not use."""

    line: int
    text: str
    name: str = ""
    """The variable that an unreadable line was meant to set, where that is clear."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


class Env(NamedTuple):
    """What Compose gets from a `.env`; exactly so when there are no faults."""

    values: Mapping[str, str]
    """The variables of the file; the process environment wins, as in Compose."""
    lines: Mapping[str, int]
    """The line that sets each variable, the last one if there are several."""
    overridden: frozenset[str]
    """Variables of the file whose value comes from the process environment."""
    faults: Sequence[Fault]


class Variable(NamedTuple):
    """A variable of `.env.template`."""

    name: str
    default: str
    """As it is written after `KEY=`; empty when the variable has to be filled in."""
    optional: bool
    directive: str | None
    """How its value is made, one of `DIRECTIVES`."""
    line: int


class _Statement(NamedTuple):
    line: int
    match: re.Match[str] | None
    text: str
    """As it is written, with the blanks around it."""
    value: str
    """Without its quotes; references to variables stay."""


def read(path: Path, environ: Mapping[str, str]) -> Env:
    """Read a `.env` file.

    Args:
        path: the file.
        environ: the process environment that Compose would get.

    Raises:
        FileNotFoundError: there is no such file.
        EnvError: it is not UTF-8, or see `parse`.
    """
    return parse(read_text(path), environ)


def parse(text: str, environ: Mapping[str, str]) -> Env:
    """Read the text of a `.env` file, line ends as they are in the file.

    Args:
        text: the text.
        environ: the process environment that Compose would get.

    Raises:
        EnvError: a NUL or a carriage return without a line feed is in it: not even its lines are certain.
    """
    for character, fault in (
        ("\0", "a NUL character: save the file as plain text in UTF-8"),
        (r"\r(?!\n)", "a carriage return without a line feed: save the file with LF or CRLF line ends"),
    ):
        if found := re.search(character, text):
            line = text.count("\n", 0, found.start()) + 1
            raise EnvError(f".env cannot be read: line {line} has {fault}")

    written: dict[str, str] = {}
    lines: dict[str, int] = {}
    faults = []
    for line, match, statement, value in _statements(text):
        if match is None:
            faults.append(_unreadable(line, statement.lstrip()))
            continue
        name = match["name"]
        if name in lines:
            faults.append(
                Fault(line, f"{name} is set on line {lines[name]} already: delete one, Compose takes the last")
            )
        if "$" in value and not match["single"]:
            value, wrong = _expand(value, {**written, **environ})
            faults.extend(Fault(line, f"{name} {text}") for text in wrong)
        lines[name] = line
        written[name] = value
    overridden = frozenset(written.keys() & environ.keys())
    return Env({**written, **{name: environ[name] for name in overridden}}, lines, overridden, faults)


def parse_template(text: str) -> dict[str, Variable]:
    """Read the text of `.env.template`.

    Returns:
        The variables by name, in the order of the file.

    Raises:
        EnvError: all faults of the template, with their lines.
    """
    rows = [row.rstrip("\r") for row in text.removeprefix("\ufeff").split("\n")]
    active = _OPTIONAL.sub("", text)
    faults = list(parse(active, {}).faults)
    variables: dict[str, Variable] = {}
    used = set()
    for line, match, *_ in _statements(active):
        if match is None:
            continue
        above = line - 2
        directive = None
        if above >= 0 and rows[above].startswith("#:"):
            directive = rows[above].removeprefix("#:").strip()
            used.add(above)
            above -= 1
        if above < 0 or not _COMMENT.match(rows[above]):
            faults.append(Fault(line, f"{match['name']} has no comment line above it: say what it is for"))
        if directive == "free port" and not re.fullmatch("[0-9]+", match["value"] or ""):
            faults.append(Fault(line, f"{match['name']} has no port to begin with: write one after the `=`"))
        optional = rows[line - 1].startswith("# ")
        variables[match["name"]] = Variable(match["name"], match["value"] or "", optional, directive, line)
    for index, row in enumerate(rows):
        if row.startswith("#:") and index not in used:
            faults.append(Fault(index + 1, f"`{row}` has to stand directly above a variable"))
        elif row.startswith("#:") and row.removeprefix("#:").strip() not in DIRECTIVES:
            known = ", ".join(f"`#: {directive}`" for directive in DIRECTIVES)
            faults.append(Fault(index + 1, f"`{row}` is unknown: write one of {known}"))
    if faults:
        raise EnvError("\n".join([".env.template is not usable:", *(f"  - {fault}" for fault in sorted(faults))]))
    return variables


def problems(env: Env, template: Mapping[str, Variable]) -> list[str]:
    """Compare a `.env` with its template.

    Returns:
        All problems: those of lines by line, then missing and empty variables in the template's order. None
        contains a value of the `.env`.
    """
    faults = list(env.faults)
    meant = {fault.name for fault in faults}
    unreadable = {fault.line for fault in faults} - set(env.lines.values())
    for name, line in env.lines.items():
        if name in template:
            continue
        if line - 1 in unreadable:  # perhaps the rest of a broken value, so its text stays unsaid
            faults.append(Fault(line, "this variable is not in .env.template"))
            continue
        near = closest(name.upper(), template)
        question = f"; did you mean {near}?" if near else ""
        faults.append(Fault(line, f"{name} is not in .env.template{question}"))

    found = [str(fault) for fault in sorted(faults)]
    for name, variable in template.items():
        if name not in env.values:
            if not variable.optional and name not in meant:
                found.append(f"{name} is missing: add the line `{name}={variable.default or '...'}`")
        elif not env.values[name] and not variable.default and not variable.optional:
            if name in env.overridden:
                found.append(f"{name} is empty in the environment, which overrides .env: type `unset {name}`")
            else:
                found.append(f"{name} is empty")
    return found


def secret_values(env: Env, template: Mapping[str, Variable]) -> list[str]:
    """Return the values that nobody but the owner of the `.env` may see: those made as a secret, or named like one."""
    made = {name for name, variable in template.items() if variable.directive == "secret"}
    return [value for name, value in env.values.items() if value and (name in made or is_secret(name))]


def message(problems: Sequence[str]) -> str:
    """Return the text that tells the user all `problems`."""
    return "\n".join([".env does not match .env.template:", *(f"  - {problem}" for problem in problems)])


def quote(value: str) -> str:
    """Return the text after `KEY=` that Compose, both of its majors, and `parse` read as `value`.

    Raises:
        EnvError: a NUL or half a surrogate pair is in it, which no `.env` can hold.
    """
    if re.search("[\0\ud800-\udfff]", value):
        raise EnvError("a value for .env has a NUL character or half a surrogate pair: leave it out")
    if re.fullmatch(r"[A-Za-z0-9_./:@%+,=-]+", value):
        return value
    if not re.search(r"['\\\r\n]", value):
        return f"'{value}'"
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("$", "$$")):
        value = value.replace(plain, escaped)
    return f'"{value}"'


def create(template: str, generate: Callable[[Variable], str | None]) -> str:
    """Return the text of the first `.env`.

    Args:
        template: the text of `.env.template`.
        generate: makes the value of a variable with a directive (see `generator`); None leaves the line as it is.

    Raises:
        EnvError: the template has faults.
    """
    values = {}
    for variable in parse_template(template).values():
        if variable.directive and (value := generate(variable)) is not None:
            values[variable.name] = value
    return with_values(template, values)


def generator(
    *,
    folder: str,
    user_id: int | None,
    group_id: int | None,
    ca_bundle: str | None,
    port: Callable[[Variable], int | None],
) -> Callable[[Variable], str | None]:
    """Return the function that makes the values for `DIRECTIVES`, a new secret with each call.

    Args:
        folder: name of the project's folder.
        user_id: numeric id of the user who runs Berth, None to leave the template's line as it is.
        group_id: numeric id of the user's group, or None likewise.
        ca_bundle: path of the host's CA bundle, or None likewise.
        port: finds the port for a variable; returns None where the template's may stay.
    """
    makers: dict[str, Callable[[Variable], str | int | None]] = {
        "secret": lambda _: secret(),
        "project name": lambda _: project_name(folder),
        "user id": lambda _: user_id,
        "group id": lambda _: group_id,
        "free port": port,
        "ca bundle": lambda _: ca_bundle,
    }

    def generate(variable: Variable) -> str | None:
        value = makers[variable.directive or ""](variable)
        return None if value is None else str(value)

    return generate


def secret() -> str:
    """Return 256 random bits in 64 hexadecimal digits, safe in `.env`, SQL, URLs and arguments."""
    import secrets  # not at every start of `inv`

    return secrets.token_hex(32)


def project_name(folder: str) -> str:
    """Return a Compose project name, `[a-z0-9][a-z0-9_-]*`, for a folder; `project` if nothing is left."""
    import unicodedata  # not at every start of `inv`

    ascii_only = unicodedata.normalize("NFKD", folder.casefold()).encode("ascii", "ignore").decode()
    return re.sub("[^a-z0-9_]+", "-", ascii_only).strip("-_") or "project"


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Return the text of a `.env` with variables set.

    Lines that set the variable get the new value; else its `# KEY=value` becomes active; else a line is
    appended. Everything else stays as it is, line ends and comments behind values too.

    Raises:
        EnvError: a value cannot be written, see `quote`.
    """
    active = {match["name"] for _, match, *_ in _statements(text) if match}
    done: set[str] = set()
    parts = []
    for binding in _bindings(text):
        original = binding.original.string
        match = _STATEMENT.fullmatch(original) if binding.key else _STATEMENT.fullmatch(_OPTIONAL.sub("", original))
        if match and match["name"] in values and (binding.key or match["name"] not in active | done):
            done.add(match["name"])
            original = match["head"] + quote(values[match["name"]]) + match["tail"]
        parts.append(original)
    changed = ("\ufeff" if text.startswith("\ufeff") else "") + "".join(parts)

    end = "\r\n" if "\r\n" in text else "\n"
    if changed and not changed.endswith("\n") and values.keys() - done:
        changed += end
    return changed + "".join(f"{name}={quote(value)}{end}" for name, value in values.items() if name not in done)


def read_text(path: Path) -> str:
    """Return the text of a file with its line ends, for `with_values`.

    Raises:
        EnvError: the file is not UTF-8.
    """
    data = path.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EnvError(f"{path.name} cannot be read: line {line} is not UTF-8: save the file as UTF-8") from None


def write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet, whole or not at all, with mode 600 from its first byte.

    Raises:
        FileExistsError: there is something at the path already, if only a broken link; it stays as it is.
    """
    with _written_beside(path, text) as written:
        os.link(written, path)


def replace(path: Path, text: str) -> None:
    """Replace a file at once, or the file that a symbolic link leads to; owner and permissions stay.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = path.resolve(strict=True)
    before = path.stat()
    with _written_beside(path, text) as written:
        if os.name == "posix" and os.geteuid() == 0:  # only root can change the owner by accident
            os.chown(written, before.st_uid, before.st_gid)
        written.chmod(stat.S_IMODE(before.st_mode))
        written.replace(path)


def _bindings(text: str) -> Iterator[Binding]:
    """Yield python-dotenv's pieces of a text without gaps, but for a byte order mark, which it drops."""
    from dotenv.parser import parse_stream

    return parse_stream(io.StringIO(text, newline=""))


@functools.lru_cache(maxsize=8)
def _statements(text: str) -> list[_Statement]:
    """Return all but blanks and comments; the match is None where python-dotenv and Compose differ."""
    plain = _plain_statements(text)
    return _parsed_statements(text) if plain is None else plain


def _plain_statements(text: str) -> list[_Statement] | None:
    """Return the statements of a text without quotes, blanks and references; None: it has more than that.

    Such a text means the same to every reader, and it is what `inv up` makes: python-dotenv, whose import takes longer
    than all else in a start of `inv`, is needed for others only.
    """
    if "\r" in text or "\ufeff" in text:
        return None
    statements = []
    for line, row in enumerate(text.split("\n"), start=1):
        if not row or row.startswith("#"):
            continue
        if not _PLAIN.fullmatch(row):
            return None
        match = _STATEMENT.fullmatch(row)
        assert match is not None
        statements.append(_Statement(line, match, row, match["value"] or ""))
    return statements


def _parsed_statements(text: str) -> list[_Statement]:
    statements = []
    for binding in _bindings(text):
        original = binding.original.string
        if not binding.error and binding.key is None and _NO_STATEMENT.fullmatch(original):
            continue
        blank = original[: len(original) - len(original.lstrip())]
        match = None if binding.error else _STATEMENT.fullmatch(original)
        line = binding.original.line + blank.count("\n")
        statements.append(_Statement(line, match, original, binding.value or ""))
    return statements


def _unreadable(line: int, statement: str) -> Fault:
    start = r"(?:export[ \t]+)?"
    advice = next(text for form, text in _ADVICE if re.match(start + form.replace("KEY", _NAME), statement))
    meant = re.match(rf"{start}({_NAME})[ \t]*[=:]", statement)
    return Fault(line, advice, meant[1] if meant else "")


def _expand(value: str, known: Mapping[str, str]) -> tuple[str, list[str]]:
    """Replace references to variables as Compose does; also return what is wrong with them."""
    wrong = []

    def replacement(reference: re.Match[str]) -> str:
        if reference["dollar"]:
            return "$"
        if reference["unknown"]:
            wrong.append("has a `${` that Berth does not read: write `${NAME}`, `${NAME:-default}` or `$${`")
            return ""
        found = known.get(reference["plain"] or reference["braced"])
        if reference["operator"] and (found is None or (found == "" and reference["operator"] == ":-")):
            return reference["default"]
        if found is None:
            wrong.append("refers to a variable that is not set above it: write `$$` for a dollar sign")
            return ""
        return found

    return _REFERENCE.sub(replacement, value), wrong


@contextlib.contextmanager
def _written_beside(path: Path, text: str) -> Iterator[Path]:
    """Write a new file, mode 600, in the folder of `path`; it is gone afterwards unless it was renamed."""
    import tempfile  # not at every start of `inv`

    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    written = Path(name)
    try:
        with open(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(handle)
        yield written
    finally:
        written.unlink(missing_ok=True)
