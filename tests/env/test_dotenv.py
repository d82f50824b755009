"""Which lines of a `.env` are read, what is said of the others, and how values are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth import env

QUOTES = (
    "KEY has quotes that are not closed on this line, other than ` # a comment` behind them, or a backslash that has "
    'more than one meaning: in double quotes write `\\\\`, `\\"` or `\\n`'
)
WORDS = "KEY has a value of more than one word: put it in single quotes"
DOLLAR = "KEY has a `$` alone: write `$$` or single quotes for a dollar sign, `${NAME}` for another variable"
UNSET = "KEY refers to a variable that is not set above it: write `$$` for a dollar sign"
BEHIND = "KEY needs `=`, and the value directly behind it: write `KEY=value`"
COMMENT = "KEY has a comment in place of a value: give the comment a line of its own, or the value single quotes"
CONTROL = "has a NUL, or a carriage return without a line feed: save the file as plain text, with LF or CRLF"
NO_NAME = "not `NAME=value`: a name has ASCII letters, digits and `_`, a comment starts with `#`"

REFUSED = {
    BEHIND: ["KEY: hidden", "KEY =hidden", "KEY= hidden", "export KEY = hidden", "KEY= # hidden"],
    COMMENT: ["KEY=#hidden"],
    WORDS: ["KEY=hid den", "KEY=x\t# hidden", "KEY=hidden\xa0x", "KEY=hidden \x1c"],
    QUOTES: [
        *("KEY='hidden", 'KEY="hidden', "KEY='a'hidden", "KEY='a' B=2", "KEY='a'#hidden", "KEY='a'\"b\""),
        *("KEY='a\\\\b'", "KEY='a\\'", 'KEY="a\\\'b"', 'KEY="a\\$b"', 'KEY="\\t"', 'KEY="\\0101"'),
    ],
    DOLLAR: ["KEY=pa$hidden", 'KEY="$"', "KEY=${hidden:-a}", "KEY=${A:?hidden}", "KEY=$(hidden)", "KEY=${hidden"],
    UNSET: ["KEY=${hidden}", 'KEY="${KEY}"'],
    f"KEY {CONTROL}": ["KEY=hid\0den", "KEY=a\rB=hidden"],
    CONTROL: ["# a\rB=hidden"],
    NO_NAME: ["KEY", "export KEY", "my-key=hidden", "'KEY'=hidden", "\ufeffKEY=hidden", "; hidden", "\x0b"],
}


@pytest.mark.parametrize(("line", "text"), [(line, text) for text, lines in REFUSED.items() for line in lines])
def test_a_line_that_is_not_read_is_named_with_its_variable(line: str, text: str) -> None:
    read = env.parse(f"# first\n\n{line}\nB=2\n", {})

    assert [str(fault) for fault in read.faults] == [f"line 3: {text}"]
    assert read.values["B"] == "2"


def test_a_variable_set_twice_is_a_fault_and_the_last_one_counts() -> None:
    read = env.parse("A=1\nB=2\nA=3\n", {})

    assert [str(fault) for fault in read.faults] == ["line 3: A is set on line 1 already: delete one"]
    assert (read.values, read.lines) == ({"A": "3", "B": "2"}, {"A": 3, "B": 2})


def test_the_process_environment_wins() -> None:
    read = env.parse("A=1\nB=${A}\n", {"A": "outside", "OTHER": "x"})

    assert read == env.Env({"A": "outside", "B": "outside"}, {"A": 1, "B": 2}, frozenset({"A"}), [])


def test_a_file_from_windows_is_read(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"\xef\xbb\xbfA=1\r\nB='two'\r\n")

    assert env.read(path, {}).values == {"A": "1", "B": "two"}
    assert env.read_text(path) == "\ufeffA=1\r\nB='two'\r\n"


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: path.mkdir(), ".env is a folder: move it away, a file belongs there"),
        (
            lambda path: path.symlink_to("nowhere"),
            ".env is a link to nowhere, which is not there: remove the link",
        ),
        (
            lambda path: path.symlink_to(".env"),
            ".env cannot be read (Too many levels of symbolic links): `ls -l {}` shows whose it is",
        ),
        (
            lambda path: path.write_bytes(b"A=1\nB=caf\xe9\n"),
            ".env cannot be read: line 2 is not UTF-8: save the file as UTF-8",
        ),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, make: Callable[[Path], None], complaint: str) -> None:
    make(tmp_path / ".env")

    with pytest.raises(env.EnvError) as caught:
        env.read(tmp_path / ".env", {})

    assert str(caught.value) == complaint.format(tmp_path / ".env")


def test_values_are_set_where_they_stand() -> None:
    text = (
        "\ufeff# A=0\r\n\r\nexport A=old  # kept\r\n# B=1\r\n# B=2\r\n# B is good.\r\nC='x'\r\nD=1\r\nbroken line\r\n"
    )

    assert env.with_values(text, {"A": "it's", "B": "new", "C": "", "E": "e"}) == (
        "\ufeff# A=0\r\n\r\nexport A=\"it's\"  # kept\r\nB=new\r\n# B=2\r\n# B is good.\r\nC=''\r\nD=1\r\nbroken line"
        "\r\nE=e\r\n"
    )


def test_every_line_of_a_variable_is_set() -> None:
    assert env.with_values("A=1\nB=${A}\nA=2", {"A": "3"}) == "A=3\nB=${A}\nA=3"


def test_a_line_is_appended_after_a_last_line_without_end() -> None:
    assert env.with_values("A=1", {"B": "2"}) == "A=1\nB=2\n"
    assert env.with_values("", {"B": "2"}) == "B=2\n"


LINES = st.text("AB= '\"#\n\r\\${}:x\ufeff\xa0", max_size=30)


@given(LINES)
def test_a_text_without_values_to_set_stays_byte_for_byte(text: str) -> None:
    assert env.with_values(text, {}) == text


@given(LINES, st.text("ab'\"\\$#\n ="))
def test_a_value_that_was_set_is_read_back(text: str, value: str) -> None:
    before = env.parse(text, {})
    if before.faults:
        text, before = "", env.parse("", {})

    after = env.parse(env.with_values(text, {"A": value}), {})

    assert after.values["A"] == value
    assert after.values.keys() == before.values.keys() | {"A"}


@pytest.mark.parametrize("value", ["a\0b", "a\rb", "\ud800"])
def test_a_value_that_no_env_can_hold_is_refused(value: str) -> None:
    with pytest.raises(env.EnvError) as caught:
        env.quote(value)

    assert str(caught.value) == ("a value for .env has a NUL, a carriage return or half a surrogate pair: leave it out")


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("", "''"),
        ("sqs://broker:9324", "sqs://broker:9324"),
        ("a b", "'a b'"),
        ('$5 # "', "'$5 # \"'"),
        ("it's $5\n", '"it\'s $$5\\n"'),
        ("C:\\ca.pem", '"C:\\\\ca.pem"'),
    ],
)
def test_a_value_is_quoted_no_more_than_needed(value: str, quoted: str) -> None:
    assert env.quote(value) == quoted
