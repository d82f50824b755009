"""Read `.env.template`, the manual and the schema of `.env`, and compare a `.env` with it.

    KEY=          has to be filled in
    KEY=value     has a working default
    # KEY=value   is optional; exactly one `# `, and a value in a form that a `.env` may have

Each variable stands directly below a comment line that says what it is for. A line `#: secret`,
`#: project name`, `#: user id`, `#: group id`, `#: free port` or `#: ca bundle` between the two says how its value
is made when `.env` is created; an optional variable becomes active if its value could be made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from berth.env import dotenv
from berth.env.dotenv import Env, EnvError, Fault
from berth.nearest import closest
from berth.redaction import is_secret

DIRECTIVES = ("secret", "project name", "user id", "group id", "free port", "ca bundle")
MOST = 10
"""Problems that a message lists; the rest is counted."""


class Variable(NamedTuple):
    """A variable of `.env.template`."""

    name: str
    default: str
    """As it is written after `KEY=`; empty when the variable has to be filled in."""
    optional: bool
    directive: str | None
    """How its value is made, one of `DIRECTIVES`."""
    line: int


def parse_template(text: str) -> dict[str, Variable]:
    """Read the text of `.env.template`.

    Returns:
        The variables by name, in the order of the file.

    Raises:
        EnvError: the template has faults; the message names them with their lines.
    """
    rows = dotenv.rows(text)
    active = "\n".join(row.removeprefix("# ") if dotenv.optional(row) else row for row in rows)
    # What its variables refer to may be set where `.env` is used.
    faults = [fault for fault in dotenv.parse(active, {}).faults if fault.text != dotenv.UNSET]
    variables: dict[str, Variable] = {}
    for line, row in enumerate(rows, start=1):
        if match := dotenv.assignment(row) or dotenv.optional(row):
            name, default = match["name"], match["value"] or ""
            above = ["", *rows[max(line - 3, 0) : line - 1]]
            directive = above.pop().removeprefix("#:").strip() if above[-1].startswith("#:") else None
            if not _is_comment(above[-1]):
                faults.append(Fault(line, name, "has no comment line above it: say what it is for"))
            if directive == "free port" and not re.fullmatch("[0-9]+", default):
                faults.append(Fault(line, name, "has no port to begin with: write one after the `=`"))
            variables[name] = Variable(name, default, not dotenv.assignment(row), directive, line)
        elif row.startswith("#:"):
            below = rows[line] if line < len(rows) else ""
            if not (dotenv.assignment(below) or dotenv.optional(below)):
                faults.append(Fault(line, "", f"`{row}` has to stand directly above a variable"))
            elif row.removeprefix("#:").strip() not in DIRECTIVES:
                known = ", ".join(f"`#: {directive}`" for directive in DIRECTIVES)
                faults.append(Fault(line, "", f"`{row}` is unknown: write one of {known}"))
    if faults:
        raise EnvError(_listed(".env.template is not usable:", [str(fault) for fault in sorted(faults)]))
    return variables


def problems(env: Env, template: Mapping[str, Variable]) -> list[str]:
    """Compare a `.env` with its template.

    Returns:
        All problems: those of lines by line, then missing and empty variables in the template's order. None
        contains a value of the `.env`.
    """
    unread = {fault.line for fault in env.faults} - set(env.lines.values())
    faults = [*env.faults]
    for name, line in env.lines.items():
        if name not in template:
            near = closest(name.upper(), template)
            faults.append(Fault(line, name, "is not in .env.template" + (f"; did you mean {near}?" if near else "")))
    found = []
    for fault in sorted(faults):
        if fault.line - 1 in unread and fault.name not in template:
            unread.add(fault.line)  # perhaps the rest of a value of several lines, as a key in PEM has: it stays unsaid
        else:
            found.append(str(fault))

    meant = {fault.name for fault in faults}
    for name, variable in template.items():
        if name not in env.values:
            if not variable.optional and name not in meant:
                found.append(f"{name} is missing: add the line `{name}={variable.default or '...'}`")
        elif not env.values[name] and not variable.default and not variable.optional and name not in meant:
            if name in env.overridden:
                found.append(f"{name} is empty in the environment, which overrides .env: type `unset {name}`")
            else:
                found.append(f"{name} is empty: fill in line {env.lines[name]}")
    return found


def message(problems: Sequence[str]) -> str:
    """Return the text that tells the user about `problems`: the first of them, and how many more there are."""
    return _listed(".env does not match .env.template:", problems)


def secret_values(env: Env, template: Mapping[str, Variable]) -> list[str]:
    """Return the values that nobody but the owner of the `.env` may see: those made as a secret, or named like one."""
    made = {name for name, variable in template.items() if variable.directive == "secret"}
    return [value for name, value in env.values.items() if value and (name in made or is_secret(name))]


def _is_comment(row: str) -> bool:
    return bool(re.match(r"#(?!:).*\w", row)) and not dotenv.optional(row)


def _listed(heading: str, problems: Sequence[str]) -> str:
    more = [f"and {len(problems) - MOST} more"] if len(problems) > MOST else []
    return "\n".join([heading, *(f"  - {problem}" for problem in [*problems[:MOST], *more])])
