"""Dumps without containers, by the same tasks."""

from __future__ import annotations

import re

from containers.checkout import ok
from embedded.conftest import Stack


def test_a_dump_brings_back_what_was_and_keeps_what_is(stack: Stack) -> None:
    query = "SELECT md5(string_agg(mark::text, ' ' ORDER BY n)) FROM mark"
    stack.rows("CREATE TABLE mark AS SELECT n, md5(n::text) FROM generate_series(1, 1000) AS n")
    try:
        before = stack.rows(query)
        made = ok(stack.inv("db.dump"))
        found = re.search(r"^to load it: \./inv db\.load (\S+)$", made.stdout, re.M)
        assert found, made.stdout
        stack.rows("DELETE FROM mark WHERE n < 10")
        spoilt = stack.rows(query)
        made = ok(stack.inv("db.load", found[1]))
        assert stack.rows(query) == before != spoilt
        assert stack.rows("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'") == ["app"]
        found = re.search(r"^to get it back: \./inv db\.restore (\S+)$", made.stdout, re.M)
        assert found, made.stdout
        ok(stack.inv("db.restore", found[1], "--no-snapshot", "--yes"))
        assert stack.rows(query) == spoilt
        ok(stack.inv("db.drop-snapshot", "--yes", found[1]))
    finally:
        stack.rows("DROP TABLE mark")


def test_an_upgrade_says_why_it_needs_containers(stack: Stack) -> None:
    made = stack.inv("db.upgrade")
    assert made.returncode == 1
    assert "without containers there is one PostgreSQL only" in made.stderr
