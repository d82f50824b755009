"""Dumps of a database with odd names: whole or not at all, and loaded without a risk for what is there."""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers.checkout import Checkout, checkout, docker, ok, within
from containers.test_snapshots import ODD, ROWS, content, names, spoil, unfinished

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def odd(engine: None) -> Iterator[Checkout]:
    """A running checkout whose database holds rows that can be counted and hashed."""
    with checkout() as made:
        made.prepare()
        made.set(**ODD, DB_SNAPSHOTS_KEPT="3")
        ok(made.inv("up"))
        made.sql(f"CREATE TABLE mark AS SELECT n, md5(n::text) FROM generate_series(1, {ROWS}) AS n")
        made.sql(
            "SELECT format('ALTER TABLE mark OWNER TO %I', pg_get_userbyid(datdba)) FROM pg_database WHERE datname = "
            "current_database() \\gexec".replace(" \\gexec", "")
        ) and None
        yield made


@pytest.fixture(scope="module")
def dump(odd: Checkout) -> Path:
    """A dump of it, in a file with an odd name."""
    path = odd.root / "we'ird $n ä.dump"
    ok(odd.inv("db.dump", str(path)))
    return path


def pg_dump(stack: Checkout, target: Path, *words: str) -> Path:
    """Write a dump as others do, without Berth."""
    line = ["docker", "compose", "exec", "-T", "db", "bash", "-c", 'PGDATABASE=$DB_NAME pg_dump -U postgres "$@"', "-"]
    with target.open("wb") as file:
        subprocess.run([*line, *words], cwd=stack.root, env=stack.environment, stdout=file, check=True)
    return target


def owners(stack: Checkout) -> str:
    return stack.sql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")


def whole(stack: Checkout, before: str) -> None:
    """The database is as it was, and nothing half-made is left."""
    assert content(stack) == before
    assert unfinished(stack) == ""
    assert stack.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'loading%'") == "0"


def test_a_dump_brings_back_what_was_and_keeps_what_is(odd: Checkout, dump: Path) -> None:
    before = content(odd)
    spoil(odd)
    spoilt = content(odd)
    made = ok(odd.inv("db.load", str(dump)))
    whole(odd, before)
    assert owners(odd) == ODD["DB_USER"]
    found = re.search(r"^to get it back: \./inv db\.restore (\S+)$", made.stdout, re.M)
    assert found, made.stdout
    ok(odd.inv("db.restore", found[1], "--no-snapshot", "--yes"))
    assert content(odd) == spoilt
    ok(odd.inv("db.load", str(dump), "--no-snapshot", "--yes"))
    whole(odd, before)
    odd.wait_until_ready(10)


def test_what_a_dump_holds_stands_beside_it(odd: Checkout, dump: Path) -> None:
    said = json.loads(dump.with_name(f"{dump.name}.json").read_text())
    assert said["database"] == ODD["DB_NAME"]
    assert said["server"] == 18
    assert said["tables"]["public.mark"] == ROWS
    assert "users.0001_initial" in said["migrations"]
    assert dump.stat().st_mode & 0o777 == 0o600
    assert (
        subprocess.run(["sha256sum", dump], capture_output=True, text=True).stdout.split()[0].strip("\\")
        == said["sha256"]
    )


def test_dumps_are_listed_and_loaded_by_name(odd: Checkout) -> None:
    made = ok(odd.inv("db.dump"))
    found = re.search(r"^to load it: \./inv db\.load (\S+\.dump)$", made.stdout, re.M)
    assert found, made.stdout
    assert found[1] in ok(odd.inv("db.dumps")).stdout
    ok(odd.inv("db.load", found[1], "--no-snapshot", "--yes"))


@pytest.mark.parametrize("form", ["plain", "gzip", "zstd", "tar", "directory", "create"])
def test_dumps_of_others_are_loaded_too(odd: Checkout, tmp_path: Path, form: str) -> None:
    before = content(odd)
    path = tmp_path / f"other.{form}"
    if form == "directory":
        line = (
            "PGDATABASE=$DB_NAME pg_dump -U postgres -Fd -f /tmp/folder && tar -C /tmp -cf - folder; rm -r /tmp/folder"
        )
        docker(
            "exec",
            odd.container("db"),
            "bash",
            "-c",
            line.replace("tar -C /tmp -cf - folder; rm -r /tmp/folder", "true"),
        )
        docker("cp", f"{odd.container('db')}:/tmp/folder", str(path))
    else:
        words = {"tar": ["-Ft"], "create": ["-Fc", "--create"]}.get(form, ["-Fp"])
        pg_dump(odd, path, *words)
        if form == "gzip":
            path.write_bytes(gzip.compress(path.read_bytes()))
        elif form == "zstd":
            packed = subprocess.run(
                ["docker", "exec", "-i", odd.container("db"), "zstd", "-c"],
                input=path.read_bytes(),
                capture_output=True,
            )
            path.write_bytes(packed.stdout)
    spoil(odd)
    ok(odd.inv("db.load", str(path), "--no-snapshot", "--yes"))
    whole(odd, before)
    assert owners(odd) == ODD["DB_USER"]


@pytest.mark.parametrize("form", ["custom", "plain", "gzip", "known", "empty", "text", "leading elsewhere", "newer"])
def test_a_broken_file_costs_nothing(odd: Checkout, dump: Path, tmp_path: Path, form: str) -> None:
    before = content(odd)
    path = tmp_path / "broken"
    if form == "custom":
        path.write_bytes(dump.read_bytes()[:-200_000])
    elif form in {"plain", "gzip"}:
        pg_dump(odd, path, "-Fp")
        text = path.read_bytes()
        path.write_bytes(text[: len(text) // 2] if form == "plain" else gzip.compress(text)[:-1000])
    elif form == "known":
        path.write_bytes(dump.read_bytes()[:-1] + b"?")
        path.with_name("broken.json").write_bytes(dump.with_name(f"{dump.name}.json").read_bytes())
    elif form == "leading elsewhere":
        quoted = ODD["DB_NAME"].replace('"', '""')
        path.write_text(f'\\connect "{quoted}"\nDROP TABLE mark;\n')
    elif form == "newer":
        text = pg_dump(odd, path, "-Fp").read_text().replace("database version 18", "database version 99")
        path.write_text(text)
    else:
        path.write_text({"empty": "", "text": "Dear reader,\nthis is no SQL.\n"}[form])
    made = odd.inv("db.load", str(path))
    assert made.returncode == 1
    said = [line for line in made.stderr.splitlines() if not line.startswith("+ ")]
    assert "Traceback" not in made.stderr and 1 <= len(said) <= 4, said
    whole(odd, before)


def test_the_dump_of_another_project_is_recognised(odd: Checkout, tmp_path: Path) -> None:
    before = content(odd)
    path = pg_dump(odd, tmp_path / "other", "-Fp")
    path.write_text(path.read_text().replace("\tusers\t", "\tshop\t").replace("\tstatus\t", "\tblog\t"))
    made = odd.inv("db.load", str(path))
    assert made.returncode == 1
    assert "looks like a dump of another project: it has no migrations of status, users" in made.stderr
    whole(odd, before)


def test_sql_of_the_project_runs_before_anybody_sees_the_rows(odd: Checkout, dump: Path) -> None:
    before = content(odd)
    (odd.root / "hide names.sql").write_text("UPDATE mark SET md5 = 'hidden'; CREATE TABLE hidden ();")
    odd.set(DB_AFTER_LOAD_SQL="hide names.sql")
    try:
        ok(odd.inv("db.load", str(dump), "--no-snapshot", "--yes"))
        assert odd.sql("SELECT DISTINCT md5 FROM mark") == "hidden"
        assert owners(odd) == ODD["DB_USER"]
        hidden = content(odd)
        (odd.root / "hide names.sql").write_text("UPDATE mark SET md5 = ''; SELECT wrong")
        made = odd.inv("db.load", str(dump))
        assert made.returncode != 0 and 'column "wrong" does not exist' in made.stderr
        whole(odd, hidden)
    finally:
        odd.set(DB_AFTER_LOAD_SQL="")
    ok(odd.inv("db.load", str(dump), "--no-snapshot", "--yes"))
    whole(odd, before)


def test_a_database_is_pulled_from_its_url(odd: Checkout) -> None:
    before = content(odd)
    url = ok(odd.inv("db.url", "--reveal")).stdout.strip().replace(f":{odd.port('DB')}/", ":5432/")
    made = ok(odd.inv("db.pull", variables={"DATABASE_URL": url}))
    assert ODD["DB_PASSWORD"] not in made.stdout + made.stderr
    whole(odd, before)
    wrong = odd.inv("db.pull", variables={"DATABASE_URL": "postgresql://nobody:wrong@127.0.0.1/nowhere"})
    assert wrong.returncode == 1 and 'role "nobody" does not exist' in wrong.stderr
    whole(odd, before)


def test_nothing_is_replaced_without_a_snapshot_unless_somebody_says_so(odd: Checkout, dump: Path) -> None:
    made = odd.inv("db.load", str(dump), "--no-snapshot")
    assert made.returncode == 1
    assert "`db.load` deletes data and nobody is there to ask" in made.stderr


def test_a_dump_that_fails_leaves_no_file(odd: Checkout, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "small", folder], check=True)
    try:
        made = odd.inv("db.dump", str(folder / "a.dump"))
        assert made.returncode != 0
        assert "no space left on device" in made.stderr.lower() and "Traceback" not in made.stderr
        assert list(folder.iterdir()) == []
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("victim", ["client", "script", "server"])
def test_an_interruption_leaves_the_old_state_or_the_new_one(odd: Checkout, dump: Path, victim: str) -> None:
    before = content(odd)
    spoil(odd)
    spoilt = content(odd)
    child = subprocess.Popen(
        odd.task("db.load", str(dump)), cwd=odd.root, env=odd.environment, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr and "dump.sh" in child.stderr.readline()
    time.sleep(random.uniform(0, 2))
    if victim == "client":
        child.kill()
    elif victim == "script":
        line = "kill -9 $(pgrep -f 'bash.*dump.sh') $(pgrep 'psql|pg_restore')"
        docker("exec", odd.container("db"), "bash", "-c", line, check=False)
    else:
        docker("kill", "--signal", "KILL", odd.container("db"), check=False)
        within(30, lambda: docker("start", odd.container("db"), check=False).returncode == 0, "it starts again")
    child.wait(60)
    child.stderr.close()
    ok(odd.inv("up"))
    assert content(odd) in {before, spoilt}
    # The next load clears what is left.
    ok(odd.inv("db.load", str(dump), "--no-snapshot", "--yes"))
    whole(odd, before)
    if names(odd):
        ok(odd.inv("db.drop-snapshot", "--yes", *names(odd)))
