"""What differs between two databases, and how the URL of one is written."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from berth.db import difference
from berth.db.url import url

BEFORE = """
["table", "public.kept", 3]
["table", "public.grown", 1]
["table", "public.gone", 0]
["migration", "users.0001_initial", 1]
"""
AFTER = """
["table", "public.kept", 3]
["table", "public.grown", 7]
["table", "public.\\u00fcnt \\" new", 2]
["migration", "users.0001_initial", 1]
["migration", "users.0002_more", 1]
"""


def test_tables_rows_and_migrations_that_differ_are_listed() -> None:
    found = difference.table(difference.parse(BEFORE), difference.parse(AFTER), ("before", "now"))
    assert found.splitlines() == [
        "                           before  now",
        "public.gone                0 rows  -",
        "public.grown               1 row   7 rows",
        'public.ünt " new           -       2 rows',
        "migration users.0002_more  -       applied",
    ]


def test_no_difference_is_said_in_one_line() -> None:
    same = difference.parse(BEFORE)
    message = "no difference: the same 3 tables, numbers of rows and migrations"
    assert difference.table(same, same, ("a", "b")) == message


def test_an_empty_database_differs_in_all() -> None:
    empty = difference.parse("")
    assert len(difference.table(empty, difference.parse(BEFORE), ("a", "b")).splitlines()) == 1 + 4


def test_a_url_leads_back_to_its_parts() -> None:
    user, password, name = "ro-le \\ $U@100%:/x", "pä ss'\"#?/:@%41", 'Ünï "q" 1=?&/'
    made = urlsplit(url(user=user, password=password, address="127.0.0.1:5432", name=name))
    assert (made.scheme, made.hostname, made.port) == ("postgresql", "127.0.0.1", 5432)
    assert (unquote(made.username or ""), unquote(made.password or "")) == (user, password)
    assert unquote(made.path.removeprefix("/")) == name


def test_a_url_hides_its_password() -> None:
    assert url(user="u", password=None, address="h:1", name="n") == "postgresql://u:***@h:1/n"
