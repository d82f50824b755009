"""What is hidden in the lines that are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.redaction import is_secret, redact

SECRETS = ["correct horse battery", "postgres", "0123456789abcdef", "Pa55word"]


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
        (["echo", "the correct horse battery!", "Pa55words"], ["echo", "the ***!", "***s"]),
        # The superuser's password is the name of the user, the program and the folder.
        (
            ["pg_dump", "--username", "postgres", "-U", "postgres"],
            ["pg_dump", "--username", "postgres", "-U", "postgres"],
        ),
        (["PGPASSWORD=postgres", "ls", "/var/lib/postgres"], ["PGPASSWORD=***", "ls", "/var/lib/postgres"]),
        (["createuser", "--password", "postgres", "postgres"], ["createuser", "--password", "***", "postgres"]),
        (["psql", "host=db user=postgres password=postgres"], ["psql", "host=db user=postgres password=***"]),
        (["psql", "postgres://postgres:postgres@db/postgres"], ["psql", "postgres://postgres:***@db/postgres"]),
        (["psql", "-c", "ALTER ROLE app PASSWORD 'a b'"], ["psql", "-c", "ALTER ROLE app PASSWORD ***"]),
        (["sh", "-c", "login --password hunter2 -u me"], ["sh", "-c", "login --password *** -u me"]),
        (["curl", "-d", '{"password": "x y", "user": "me"}'], ["curl", "-d", '{"password": ***, "user": "me"}']),
        (["curl", "-H", "Authorization: Token abc"], ["curl", "-H", "Authorization: Token ***"]),
        (["echo", "password: see the vault"], ["echo", "password: see the vault"]),
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


MIXED = st.text(min_size=16) | st.from_regex(r"[a-z]{9}[0-9]{3}|[a-z]{5}[A-Z]{2}[!-/]", fullmatch=True)


@given(st.lists(st.text()), MIXED, st.integers(min_value=0))
def test_no_word_keeps_a_secret_that_can_be_nothing_else(words: list[str], secret: str, position: int) -> None:
    words.insert(position % (len(words) + 1), f"<{secret}>")
    shown = redact(words, [secret])
    assert len(shown) == len(words)
    assert secret == "*" * len(secret) or not any(secret in word for word in shown)


VALUE = st.from_regex(r"[a-z0-9!$%+.,_~*][a-z0-9!$%+.,_~*-]{0,30}", fullmatch=True)


@given(
    VALUE,
    st.sampled_from(
        ["DB_PASSWORD={}", "--api-key={}", "x; TOKEN={} y", "a password='{}'", "run --secret {} b", "x://me:{}@host/y"]
    ),
)
def test_any_secret_is_hidden_where_it_stands_as_one(value: str, word: str) -> None:
    assert redact(["run", word.format(value)]) == ["run", word.format("\0").replace("'\0'", "\0").replace("\0", "***")]
    assert redact(["--password", value]) == ["--password", "***"]


@given(st.lists(st.from_regex(r"[a-z]{1,15}|[a-z0-9-]{1,7}", fullmatch=True).filter(lambda word: not is_secret(word))))
def test_names_of_services_users_and_folders_are_shown_though_they_are_secrets(words: list[str]) -> None:
    assert redact(words, words) == words


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
