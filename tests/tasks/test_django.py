"""manage.py in a container: a new one while the stack is down."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

Dry = Callable[..., list[str]]
Inv = Callable[..., tuple[int, str, str]]

RUN = f"docker compose run --rm -T --no-deps --user {os.getuid()}:{os.getgid()} app python manage.py"


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["migrate", "--plan", "app"], "migrate --plan app"),
        (["--", "shell", "-c", "print('a b')"], """shell -c 'print('"'"'a b'"'"')'"""),
        (["shell", "-c", "print(1)"], "shell -c 'print(1)'"),
        (["help"], "help"),
        (["test", "--", "-k"], "test -- -k"),
    ],
)
def test_manage_starts_what_the_command_may_need_only(dry: Dry, words: list[str], command: str) -> None:
    assert dry("manage", *words) == ["docker compose up --detach --wait db", f"{RUN} {command}"]


def test_manage_without_a_command_is_refused(inv: Inv) -> None:
    message = "`manage` needs a command: type `./inv manage help` for the list\n"
    assert inv("manage") == (1, "", message)
