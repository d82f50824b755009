"""What is hidden in the lines that are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.redaction import is_secret, redact

SECRETS = ["correct horse battery", "app", "0123456789abcdef"]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["docker", "compose", "ps", "--all"], ["docker", "compose", "ps", "--all"]),
        (["env", "DB_PASSWORD=hunter2", "ls"], ["env", "DB_PASSWORD=***", "ls"]),
        (["env", "PGPASSWORD=a b\nc", "psql"], ["env", "PGPASSWORD=***", "psql"]),
        (["login", "--password=hunter2"], ["login", "--password=***"]),
        (["login", "--password", "hunter2", "-u", "me"], ["login", "--password", "***", "-u", "me"]),
        (["psql", "--password", "-U", "me"], ["psql", "--password", "-U", "me"]),
        (["login", "--api-key", "abc"], ["login", "--api-key", "***"]),
        (
            ["sh", "-c", "cd x; DB_PASSWORD='a b' TOKEN=x ./run --key=v"],
            ["sh", "-c", "cd x; DB_PASSWORD=*** TOKEN=*** ./run --key=v"],
        ),
        (["psql", "postgres://app:hunter2@db:5432/app"], ["psql", "postgres://app:***@db:5432/app"]),
        (["echo", "the correct horse battery!", "app"], ["echo", "the ***!", "app"]),
        (
            ["AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=x"],
            ["AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=***"],
        ),
        (["SECRET_KEY=", "tokens=3", "-k", "password"], ["SECRET_KEY=", "tokens=3", "-k", "password"]),
        ([], []),
    ],
)
def test_secrets_are_stars_and_all_else_stays(words: list[str], shown: list[str]) -> None:
    assert redact(words, SECRETS) == shown


@given(st.lists(st.text()), st.text(min_size=8), st.integers(min_value=0))
def test_no_word_keeps_a_secret(words: list[str], secret: str, position: int) -> None:
    words.insert(position % (len(words) + 1), f"<{secret}>")
    shown = redact(words, [secret])
    assert len(shown) == len(words)
    assert secret == "*" * len(secret) or not any(secret in word for word in shown)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("SECRET_KEY", True),
        ("DB_PASSWORD", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("AWS_ACCESS_KEY_ID", False),
        ("DB_NAME", False),
    ],
)
def test_names_tell_secrets_from_others(name: str, secret: bool) -> None:
    assert is_secret(name) is secret
