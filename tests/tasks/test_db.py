"""Resetting the database: in which order, and only when somebody says so."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
from dry_project import environment

Dry = Callable[..., list[str]]
Inv = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("words", [["--yes"], []])
def test_database_is_reset_while_nothing_uses_it(dry: Dry, words: list[str]) -> None:
    assert dry("reset-db", *words) == [
        "docker compose up --detach db",
        "docker compose stop app migrate worker-default",
        "docker compose exec -T db reset-db.sh",
        "docker compose up --detach --wait",
    ]


def test_nothing_is_stopped_where_nothing_uses_the_database(dry: Dry, folder: Path) -> None:
    path = folder / "docker" / "docker-compose.yml"
    before = path.read_text()
    try:
        path.write_text(
            re.sub(r"\n      (?:# .*|db: \{condition: .*\})(?=\n)", "", before).replace("depends_on:\n\n", "\n")
        )
        lines = dry("reset-db", "--yes")
    finally:
        path.write_text(before)
    assert [line for line in lines if "stop" in line] == []
    assert lines[1] == "docker compose exec -T db reset-db.sh"


def test_reset_is_refused_where_nobody_can_be_asked(engine: None, inv: Inv) -> None:
    message = "`reset-db` deletes data and nobody is there to ask: type `./inv reset-db --yes`\n"
    assert inv("reset-db") == (1, "", message)


@pytest.fixture
def question(engine: None, folder: Path) -> Iterator[pexpect.spawn[str]]:
    """`inv reset-db` on a terminal, with its question asked."""
    terminal: pexpect.spawn[str] = pexpect.spawn(
        sys.executable,
        ["-m", "invoke", "reset-db"],
        cwd=str(folder),
        env=environment(),
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 200),
    )
    terminal.expect_exact(f"Delete the database `app` of the project {folder.name}, with everything in it? [y/N] ")
    yield terminal
    terminal.close(force=True)


@pytest.mark.parametrize("answer", ["", "n", "no", "yess"])
def test_any_answer_but_yes_deletes_nothing(question: pexpect.spawn[str], answer: str) -> None:
    question.sendline(answer)
    assert question.read() == f"{answer}\r\nnothing was deleted\r\n"
    assert question.wait() == 1


@pytest.mark.parametrize("key", ["c", "d"])
def test_ctrl_c_and_ctrl_d_delete_nothing(question: pexpect.spawn[str], key: str) -> None:
    question.sendcontrol(key)
    assert question.read().endswith("\r\nnothing was deleted\r\n")
    assert question.wait() == 130
