"""Read the settings from the environment, and stop the start-up with one line per problem.

environs rather than django-environ: it is typed, it keeps names and values apart in its errors so that a
secret cannot reach a message, and its `FileAwareEnv` reads Docker secrets (`NAME_FILE`). django-environ
parses URLs that we do not use, and quietly takes a missing `NAME_FILE` for an unset variable. What environs
lacks is added here: an empty variable counts as unset (Compose passes those), `NAME` together with
`NAME_FILE` is a problem, and all problems of both readers are collected before anything stops.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from environs import Env, EnvValidationError, FileAwareEnv, ValidationError

REQUIRED = object()

# Gunicorn takes this code for "app failed to load" and ends; with any other but 3, its "worker failed to boot", it
# would start the worker again for ever. And 3 is Django's development server asking to be started again after an edit.
EXIT_CODE = 4

SETTINGS_MODULES = "`app.settings.local` to develop or `app.settings.prod` to serve"


def stop(*problems: str) -> NoReturn:
    """End the process: the problems on stderr, one a line, and no traceback.

    :raises SystemExit: always, with `EXIT_CODE`.
    """
    print(*problems, sep="\n", file=sys.stderr)
    raise SystemExit(EXIT_CODE)


def require_settings_module() -> None:
    """Refuse to start without `DJANGO_SETTINGS_MODULE`: a default might serve production by mistake.

    :raises SystemExit: if it is unset or empty.
    """
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        stop(f"DJANGO_SETTINGS_MODULE is not set: set it to {SETTINGS_MODULES}")


class Environment:
    """Typed variables of the process' environment; problems are collected in `problems`."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._env = Env()
        self._files = FileAwareEnv()

    def __call__(self, name: str, kind: str = "str", default: Any = REQUIRED, validate: Any = None) -> Any:
        """Read a variable.

        :param name: its name.
        :param kind: the method of `environs.Env` that parses it: `str`, `int`, `bool`, `float`, `log_level`.
        :param default: its value while it is unset or empty; without one it is required.
        :param validate: functions that raise `ValidationError`; what they say must not quote the value.
        :returns: the value, or None after a problem.
        """
        if not os.environ.get(name):
            if default is REQUIRED:
                self.problems.append(f"{name} is not set: add `{name}=...` to the environment (`.env`)")
                return None
            return default
        return self._parse(name, lambda: getattr(self._env, kind)(name, validate=validate))

    def words(self, name: str, default: Any = REQUIRED, validate: Any = None) -> list[str]:
        """Read a comma-separated list; blanks around its items do not count.

        :param validate: called with the list.
        """
        text = self(name, default=default)
        items = [item.strip() for item in (text or "").split(",") if item.strip()]
        if text and validate:
            self._parse(name, lambda: validate(items))
        return items

    def mapping(self, name: str, validate: Any = None) -> dict[str, str]:
        """Read `key=value` pairs with commas between them; an item without `=` gets an empty value.

        :param validate: called with the pairs.
        """
        pairs = {key: value for key, _, value in (item.partition("=") for item in self.words(name))}
        if os.environ.get(name) and validate:
            self._parse(name, lambda: validate(pairs))
        return pairs

    def secret(self, name: str, default: Any = REQUIRED, validate: Any = None) -> Any:
        """Read a variable, or else the file that `NAME_FILE` names, less the line feeds at its end."""
        file_name = f"{name}_FILE"
        if os.environ.get(name) and os.environ.get(file_name):
            self.problems.append(f"{name} and {file_name} are both set: unset one of them")
            return None
        if not os.environ.get(file_name):
            if not os.environ.get(name) and default is REQUIRED:
                self.problems.append(
                    f"{name} is not set: add `{name}=...` or `{file_name}=...` to the environment (`.env`)"
                )
                return None
            return self(name, default=default, validate=validate)
        try:
            value = self._files.str(name).rstrip("\r\n")
        except (OSError, ValueError):
            self.problems.append(f"{file_name} cannot be read: it must name a text file that this process may read")
            return None
        if not value:
            self.problems.append(f"{file_name} names an empty file: write the value of {name} into it")
            return None
        if validate:
            self._parse(name, lambda: validate(value))
        return value

    def check(self) -> None:
        """Stop if anything read so far was missing or malformed.

        :raises SystemExit: after one line for each problem.
        """
        if self.problems:
            stop(*self.problems)

    def _parse(self, name: str, parser: Callable[[], Any]) -> Any:
        try:
            return parser()
        except EnvValidationError as error:
            messages = error.error_messages
        except ValidationError as error:
            messages = error.messages
        for message in messages:
            self.problems.append(f"{name} is malformed: {message[:1].lower()}{message[1:].rstrip('.')}")
        return None
