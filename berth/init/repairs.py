"""Read why a project does not start, and say what would mend it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from berth.init.variables import made_up

_MISSING = (
    re.compile(r"Set the ([A-Za-z_]\w*) environment variable"),
    re.compile(r"KeyError: ['\"]([A-Z_][A-Z0-9_]{2,})['\"]"),
    re.compile(r"(?:environ\.get|getenv)\(['\"](\w+)['\"]\).*\n(?:[ ^~]*\n)?AttributeError: 'NoneType'"),
    re.compile(r"UndefinedValueError: ([A-Za-z_]\w*) not found"),
    re.compile(
        r"[Ee]nvironment variable ['\"]?([A-Z_][A-Z0-9_]{2,})['\"]?,? (?:is )?(?:not set|not found|required|missing)"
    ),
    re.compile(
        r"(?:[Mm]issing|[Rr]equired|set the) (?:\w+ ){0,2}environment variable:? ['\"]?([A-Z_][A-Z0-9_]{2,})"
    ),
    re.compile(r"ImproperlyConfigured: .*?\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b.*?(?:not|must|required)"),
)  # fmt: skip

_STEP = re.compile(r"#\d+ (?:\d+\.\d+ )?(.*)")
_INSTALLER = "install-packages:"
_CHANGES = re.compile(r"log-?out|sign-?out|delete|remove|reset|webhook|callback|cron|sync|stream|events?\b|sse|ws\b")
_TELLS = re.compile(r"health|alive|ready|ping|status|login|sign-?in|docs|schema|swagger|about|robots|version", re.I)
MORE_PATHS = 30
"""Of the project's own, besides the likely ones."""


@dataclass(frozen=True)
class Repair:
    """Answers that would mend a failure, and the words that say so."""

    answers: Mapping[str, str]
    said: str


def repair(output: str, tried: Mapping[str, str]) -> Repair | None:
    """Return what would mend a start that failed, or None.

    :param output: what it printed.
    :param tried: the answers that there are: what was set already is not the cause.
    """
    for pattern in _MISSING:
        for name in pattern.findall(output):
            if f"variable.{name}" not in tried and name != "DJANGO_SETTINGS_MODULE":
                value = made_up(name)
                return Repair({f"variable.{name}": value}, f"the project insists on {name}: it is `{value}` now")
    return None


def denied(output: str, code: str) -> str:
    """Return the path that the project could not write although it is its own, or an empty text.

    :param code: the folder of the project inside the container.
    """
    found = re.search(rf"Permission denied: '({re.escape(code)}(?:/[^']*)?)'", output)
    return found[1] if found else ""


def missing_folder(output: str, code: str) -> str:
    """Return the folder, below the project's root, of a file that the project could not make; "" when that is not why.

    :param code: the folder of the project inside the container.
    """
    found = re.search(
        rf"FileNotFoundError: .*No such file or directory: '{re.escape(code)}/([^']+)/[^'/]+\.(?:log|txt|sqlite3?|db)'",
        output,
    )
    return found[1] if found and ".." not in found[1] else ""


def reason(output: str) -> str:
    """Return the line that says why a Python program failed: the last one of its traceback."""
    # Less the name of the service, with which Compose begins each line of a log.
    lines = [re.sub(r"^[\w.-]+\s+\| ", "", line.replace("\x1b[2K", "")).strip() for line in output.splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Configured|Warning|NotFound)\b.*", line)]
    said = (errors or lines or ["it printed nothing"])[-1]
    if said.startswith("SystemCheckError") and "ERRORS:" in lines[:-1]:
        # Its own line says only that there are some.
        said = lines[lines.index("ERRORS:") + 1]
    return said[:400]


def build_reason(output: str) -> str:
    """Return why an image does not build: the last words of the program that installs packages, or of what failed."""
    lines = [str(match[1]).strip() for line in output.splitlines() if (match := _STEP.match(line))]
    ours = [line.removeprefix(_INSTALLER).strip() for line in lines if line.startswith(_INSTALLER)]
    last = next((line for line in reversed(lines) if not line.startswith("ERROR:")), "")
    if last.startswith(_INSTALLER):
        empty = max((number for number, line in enumerate(ours) if not line), default=-1)
        return " ".join(ours[empty + 1 :][-3:])[:400]
    if "Unable to locate package" in output:
        return next(line for line in reversed(lines) if "Unable to locate package" in line)[:400]
    return reason("\n".join(line for line in lines if not line.startswith("ERROR:")) or output)


def pages(likely: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the paths that are asked for one after another: the likely ones, then what else the project has.

    :param known: as recorded; a GET of one must change nothing.
    """
    harmless = [path for path in known if not _CHANGES.search(path)]
    telling = [path for path in harmless if _TELLS.search(path)]
    return tuple(dict.fromkeys([*likely, *(*telling, *harmless)[:MORE_PATHS]]))


def host(settings: Mapping[str, object] | None) -> str:
    """Return a host name that the settings answer to, "" where localhost is one.

    :param settings: as recorded.
    """
    allowed = (settings or {}).get("ALLOWED_HOSTS")
    names = [str(each) for each in allowed] if isinstance(allowed, Sequence) and not isinstance(allowed, str) else []
    if not names or {"*", "localhost", ".localhost"} & set(names):
        return ""
    return names[0].removeprefix(".")


def no_page(answers: Sequence[str], logs: str) -> str:
    """Return why no page answers 200.

    :param answers: one line of each path, as `GET /: HTTP/1.1 404 Not Found`.
    :param logs: of the server.
    """
    if any(" 500 " in answer for answer in answers):
        return f"the pages fail: {reason(logs)}"
    if "Invalid HTTP_HOST header" in logs:
        return "ALLOWED_HOSTS of the settings does not name localhost: add it there, or let it read a variable"
    if not any("HTTP/" in answer for answer in answers):
        return f"the server does not answer: {reason(logs)}"
    codes = ", ".join(re.sub(r"^GET (\S+): HTTP/\S+ (\d+).*", r"\1 \2", answer) for answer in answers[:6])
    return f"no page answers 200 ({codes}): type `berth init --remove`, and `berth init --answer health_path=/PATH`"


def meant(
    settings: Mapping[str, object] | None, database: str, name: str, user: str, given: Collection[str] = ()
) -> str:
    """Return what is wrong with the database of the settings, "" when it is the one that was meant.

    :param settings: as recorded inside the container, after all imports.
    :param database: postgresql or sqlite.
    :param given: variables that the stack sets: what the settings leave open, libpq takes from PGDATABASE and PGUSER.
    """
    default = (settings or {}).get("DATABASES")
    found = default.get("default") if isinstance(default, Mapping) else None
    if not isinstance(found, Mapping):
        return "the settings have no default database"
    engine = str(found.get("ENGINE", ""))
    is_meant = re.search(r"postg|psql", engine) if database == "postgresql" else re.search(r"sqlite|spatialite", engine)
    if not is_meant:
        return f"the project would run on {engine}, not on {database}"
    its_name = found.get("NAME") or ("PGDATABASE" in given and name)
    its_user = found.get("USER") or ("PGUSER" in given and user)
    if database == "postgresql" and (its_name, its_user) != (name, user):
        return f"the project would use the database {its_name or ''} of {its_user or ''}, not {name} of {user}"
    return ""
