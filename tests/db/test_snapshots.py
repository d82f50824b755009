"""Names and limits of snapshots, and what their list says."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from berth.db import facts, snapshots
from berth.errors import Refused

NOW = datetime(2026, 11, 24, 16, 30, tzinfo=timezone.utc)


def line(name: str, days: float = 0, automatic: bool = True, **known: object) -> str:
    taken = f"{NOW - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
    kept = {"taken": taken, "automatic": automatic, "branch": "main", "commit": "1a2b3c4", **known}
    return json.dumps({"name": name, "bytes": 8 * 1024**2, "facts": json.dumps(kept)})


def there(*lines: str) -> list[snapshots.Snapshot]:
    return snapshots.parse("\n".join(lines))


def test_an_automatic_name_says_when_and_of_which_commit() -> None:
    assert snapshots.automatic_name("main", "1a2b3c4", NOW, []) == "20261124-163000-main-1a2b3c4"
    assert snapshots.automatic_name("", "", NOW, []) == "20261124-163000"


def test_a_branch_of_any_name_makes_a_name_that_needs_no_quotes() -> None:
    name = snapshots.automatic_name("fix/Ünï $(x) " + "y" * 90, "1a2b3c4d", NOW, [])
    assert name == "20261124-163000-fix-n-x-yyyyyyyyyyyyyyyy-1a2b3c4"
    snapshots.check_name(name)


def test_two_snapshots_of_one_second_get_two_names() -> None:
    first = snapshots.automatic_name("main", "1a2b3c4", NOW, [])
    second = snapshots.automatic_name("main", "1a2b3c4", NOW, [first])
    assert second == f"{first}-2"
    assert snapshots.automatic_name("main", "1a2b3c4", NOW, [first, second]) == f"{first}-3"


@pytest.mark.parametrize("name", ["a", "we'ird \"$n\\ ä %I", "ä" * 27, "x" * 54, "--", "a=b://c"])
def test_a_name_may_hold_whatever_can_be_seen(name: str) -> None:
    snapshots.check_name(name)


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\0", "\udcff", "x" * 55, "ä" * 28])
def test_a_name_that_cannot_be_typed_or_is_too_long_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=r"a snapshot cannot be called|54 at most"):
        snapshots.check_name(name)


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(Refused, match=r"a snapshot `a` exists already: .*`inv db.drop-snapshot`"):
        snapshots.check_new("a", there(line("a")), "inv")
    snapshots.check_new("b", there(line("a")), "inv")


def test_a_name_that_is_unknown_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(Refused, match=r"no snapshot is called `befroe`: did you mean `before`\?"):
        snapshots.check_there(["befroe"], there(line("before")), "inv")


def test_those_that_berth_named_go_beyond_the_count_and_the_age() -> None:
    found = there(*(line(f"a{days}", days=days) for days in range(5)))
    assert [one.name for one in snapshots.surplus(found, 2, 30, NOW)] == ["a2", "a3", "a4"]
    assert [one.name for one in snapshots.surplus(found, 10, 3, NOW)] == ["a4"]


def test_the_newest_stays_however_old() -> None:
    assert snapshots.surplus(there(line("a", days=900)), 1, 1, NOW) == []


def test_what_a_person_named_or_commented_never_goes() -> None:
    odd = json.dumps({"name": "odd", "bytes": 1, "facts": "my own note"})
    found = there(line("mine", days=900, automatic=False), odd, line("a"), line("b", days=1))
    assert [one.name for one in snapshots.surplus(found, 1, 1, NOW)] == ["b"]


@pytest.mark.parametrize(("value", "number"), [("", 10), ("1", 1), ("020", 20)])
def test_a_limit_is_a_number_or_the_default(value: str, number: int) -> None:
    assert snapshots.limit(snapshots.KEPT, value) == number


@pytest.mark.parametrize("value", ["0", "-1", "ten", "1.5", " 1", "²"])
def test_any_other_limit_is_refused(value: str) -> None:
    with pytest.raises(Refused, match=r"DB_SNAPSHOTS_DAYS is `.*` in .env: write a whole number, 1 or more"):
        snapshots.limit(snapshots.DAYS, value)


def test_the_table_shows_the_newest_last_and_what_is_not_known_as_blank() -> None:
    odd = json.dumps({"name": "odd", "bytes": 1023, "facts": "{}"})
    found = there(line("new", migration="users.0002_x"), line("old", days=1), odd)
    assert snapshots.table(found).splitlines() == [
        "snapshot  taken (UTC)       size        branch  commit   last migration",
        "odd                         1023 bytes",
        "old       2026-11-23 16:30  8.0 MB      main    1a2b3c4",
        "new       2026-11-24 16:30  8.0 MB      main    1a2b3c4  users.0002_x",
    ]


def test_the_way_back_can_be_typed() -> None:
    assert snapshots.get_back("./inv", "it's $x") == "to get it back: ./inv db.restore 'it'\"'\"'s $x'"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1024, "1.0 kB"), (28997311, "28 MB"), (10 * 1024**4, "10 TB")]
)
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert facts.size(count) == text


def test_the_summary_names_what_would_be_lost() -> None:
    known = '{"database": "d", "bytes": 8388608, "tables": 3, "rows": 12, "migration": "users.0001_initial"}'
    assert facts.parse(known).summary() == "8.0 MB, 3 tables, about 12 rows, last migration users.0001_initial"
    assert facts.parse("{}").summary() == "0 bytes, 0 tables, about 0 rows, no migration"
