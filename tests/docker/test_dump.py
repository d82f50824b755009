"""dump.sh, and what it makes of what others say."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import Postgres

DUMP_SH = Path(__file__).parents[2] / "docker" / "db" / "dump.sh"
ANSWER = """#!/bin/sh
if [ "$LC_ALL" = C ]; then cat "$0.said" >&2; else echo 'Fehler' >&2; fi
exit 1
"""


@pytest.mark.parametrize(
    ("said", "method"),
    [
        ("could not compress with zstd: this build does not support compression with zstd", "6"),
        ('invalid value "zstd" for option -Z/--compress', "6"),
        ('connection to server on socket "/nonexistent/.s.PGSQL.5432" failed: No such file or directory', "zstd"),
    ],
)
def test_what_pg_dump_can_compress_with_is_read_in_any_language(tmp_path: Path, said: str, method: str) -> None:
    program = tmp_path / "pg_dump"
    program.write_text(ANSWER)
    program.with_name("pg_dump.said").write_text(f"pg_dump: error: {said}\n")
    program.chmod(0o755)
    made = subprocess.run(
        ["bash", "-c", 'source "$1" && compression', "-", str(DUMP_SH)],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "LC_ALL": "de_DE.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == f"{method}\n"


def test_a_server_that_does_not_answer_is_no_full_disk(start_postgres: Callable[..., Postgres], tmp_path: Path) -> None:
    server = start_postgres()
    line = 'source "$1" && has_room && echo room'
    environment = {**server.superuser_environment, "POSTGRES_USER": "postgres"}
    for gone in ({}, {"PGHOST": str(tmp_path)}):
        made = subprocess.run(
            ["bash", "-c", line, "-", str(DUMP_SH)], env={**environment, **gone}, capture_output=True, text=True
        )
        assert (made.returncode, made.stdout) == (0, "room\n"), made.stderr
