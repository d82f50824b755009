"""Resetting the database: in which order, and only when somebody says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from berth.engines import Engine
from berth.errors import Refused
from berth.tasks import database

Dry = Callable[..., list[str]]
Inv = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("words", [["--yes"], []])
def test_database_is_reset_while_nothing_uses_it(dry: Dry, words: list[str]) -> None:
    assert dry("reset-db", "--no-snapshot", *words) == [
        "docker compose up --detach db",
        "docker compose stop app migrate worker-default",
        "docker compose exec -T db reset-db.sh",
        "docker compose up --detach --wait",
    ]


def test_a_snapshot_is_taken_once_nothing_writes_any_more(dry: Dry) -> None:
    lines = dry("reset-db", "--yes")
    assert [re.sub(r"[0-9]{8}-[0-9]{6}\S*|'\{.*\}'", "*", line) for line in lines[1:4]] == [
        "docker compose stop app migrate worker-default",
        "docker compose exec -T db snapshot.sh take * *",
        "docker compose exec -T db reset-db.sh",
    ]
    assert '"reason": "reset-db", "automatic": true' in lines[2]


def test_migrations_are_tried_on_a_copy_which_goes_away(dry: Dry) -> None:
    lines = dry("db.try-migrations")
    token = lines[-1].split()[-1].strip("'")
    assert lines[-2:] == [
        f"docker compose exec -T db dump.sh copy {token}",
        f"docker compose exec -T app check-migrations try 'unfinished:load {token}'",
    ]


def test_nothing_is_stopped_where_nothing_uses_the_database(dry: Dry, folder: Path) -> None:
    path = folder / "docker" / "docker-compose.yml"
    before = path.read_text()
    try:
        path.write_text(
            re.sub(r"\n      (?:# .*|db: \{condition: .*\})(?=\n)", "", before).replace("depends_on:\n\n", "\n")
        )
        lines = dry("reset-db", "--no-snapshot", "--yes")
    finally:
        path.write_text(before)
    assert [line for line in lines if "stop" in line] == []
    assert lines[1] == "docker compose exec -T db reset-db.sh"


def test_reset_is_refused_where_nobody_can_be_asked(engine: None, inv: Inv) -> None:
    message = "`reset-db` deletes data and nobody is there to ask: type `./inv reset-db --yes`\n"
    assert inv("reset-db") == (1, "", message)


def test_the_advice_keeps_what_was_typed(engine: None, inv: Inv) -> None:
    message = "`reset-db` deletes data and nobody is there to ask: type `./inv reset-db --no-snapshot --yes`\n"
    assert inv("reset-db", "--no-snapshot") == (1, "", message)


@pytest.fixture
def asking() -> Engine:
    """All of an engine that a question needs."""
    config = SimpleNamespace(run=SimpleNamespace(dry=False))
    return cast(Engine, SimpleNamespace(c=SimpleNamespace(config=config)))


def answering(monkeypatch: pytest.MonkeyPatch, answer: str | type[BaseException]) -> None:
    def read(question: str) -> str:
        assert question == "Delete it? [y/N] "
        if isinstance(answer, str):
            return answer
        raise answer

    monkeypatch.setattr("builtins.input", read)


@pytest.mark.parametrize("answer", ["", "n", "no", "yess", "j"])
def test_any_answer_but_yes_deletes_nothing(asking: Engine, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    answering(monkeypatch, answer)
    with pytest.raises(Refused, match=r"^nothing was deleted$") as refused:
        database.consent(asking, "Delete it?", yes=False)
    assert refused.value.code == 1


@pytest.mark.parametrize("key", [EOFError, KeyboardInterrupt])
def test_ctrl_c_and_ctrl_d_delete_nothing(
    asking: Engine, monkeypatch: pytest.MonkeyPatch, key: type[BaseException]
) -> None:
    answering(monkeypatch, key)
    with pytest.raises(Refused, match=r"^nothing was deleted$") as refused:
        database.consent(asking, "Delete it?", yes=False)
    assert refused.value.code == 130


@pytest.mark.parametrize("answer", ["y", "Yes", " YES "])
def test_yes_is_consent(asking: Engine, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    answering(monkeypatch, answer)
    database.consent(asking, "Delete it?", yes=False)


def test_nothing_is_asked_of_who_typed_yes(asking: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda question: pytest.fail(question))
    database.consent(asking, "Delete it?", yes=True)
