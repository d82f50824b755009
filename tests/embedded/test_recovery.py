"""What users and others do to the files of a stack: it recovers, loses no data, and writes where it may only."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers.checkout import checkout, ok, within
from embedded.conftest import PORTS, Stack, embedded, running


@pytest.fixture(scope="module")
def own() -> Iterator[Stack]:
    """A clean copy of these tests' own, after `inv up`."""
    with running() as made:
        yield made


def ready(stack: Stack) -> bool:
    return stack.get("/status/ready/").status == 200


def test_a_new_env_beside_old_data_gets_in_and_keeps_the_data(own: Stack) -> None:
    own.rows("CREATE TABLE kept AS SELECT 'here' AS said")
    own.set(POSTGRES_PASSWORD="n'ew \\one", DB_PASSWORD='quite "another')
    made = ok(own.inv("up"))
    assert ready(own), made.stderr
    assert own.rows("SELECT said FROM kept") == ["here"]
    said = "the passwords of the database are those of .env from now on; its data stays as it was\n"
    assert ok(own.inv("logs", "db")).stdout.count(said) == 1
    user = ok(own.inv("exec", "db", "psql", "--username=postgres", "-qAtc", "SELECT current_user"))
    assert user.stdout == "postgres\n"


@pytest.mark.parametrize(("name", "value"), [("DB_NAME", "other"), ("DB_USER", "somebody"), ("DB_PASSWORD", "a b")])
def test_the_database_is_made_anew_with_another_name_role_or_password(own: Stack, name: str, value: str) -> None:
    before = own.value(name)
    own.set(**{name: value})
    try:
        began = time.monotonic()
        ok(own.inv("reset-db", "--yes"))
        assert time.monotonic() < began + 60
        assert ready(own)
        found = own.rows("SELECT current_database(), current_user")
        assert found == [f"{own.value('DB_NAME')}|{own.value('DB_USER')}"]
    finally:
        own.set(**{name: before})
        ok(own.inv("reset-db", "--yes"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give away")
def test_a_link_that_a_server_planted_is_not_followed(own: Stack) -> None:
    ok(own.inv("down"))
    data = own.state / "data" / "db"
    mine = own.root.parent / "mine"
    mine.write_text("root's own")
    planted = []
    # The process id of the next task is not known, but near.
    for pid in range(os.getpid(), os.getpid() + 3000):
        for name in (f".pgpass.{pid}", f".db.{pid}", f".cluster.{pid}"):
            planted.append(data / name)
            planted[-1].symlink_to(mine)
    try:
        # Another password has to be written down anew.
        own.set(DB_PASSWORD="written anew")
        ok(own.inv("up"))
    finally:
        for link in planted:
            link.unlink(missing_ok=True)
    assert (mine.read_text(), mine.stat().st_uid) == ("root's own", 0)
    written = [path for path in own.state.rglob("*") if path.is_file() and b"written anew" in path.read_bytes()]
    assert {path.parent.stat().st_uid for path in written} == {0}


def test_files_that_were_deleted_under_a_stack_bring_no_second_supervisor(own: Stack) -> None:
    before = own.supervisor()
    # Not the installation, which takes its time.
    for name in ("run", "services", "logs", "supervisord.conf", "bin", "data"):
        path = own.state / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = "a supervisor whose files were deleted: "
    assert f"there is {said}" in ok(own.inv("ps")).stderr
    made = ok(own.inv("up"))
    assert f"\nends {said}" in made.stderr
    assert not before.is_running()
    assert len(own.supervisors()) == 1
    pids = {service: own.server(service).pid for service in ("app", "broker", "db", "worker-default")}
    time.sleep(3)
    assert {service: own.server(service).pid for service in pids} == pids
    assert ready(own)


def test_down_ends_what_runs_without_its_files(own: Stack) -> None:
    for name in ("run", "supervisord.conf"):
        path = own.state / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        assert "ends a supervisor whose files were deleted: " in ok(own.inv("down")).stderr
        assert (own.processes(), list(own.supervisors())) == ({}, [])
        assert {own.get("/", name).status for name in PORTS} == {0}
    finally:
        ok(own.inv("up"))


def test_a_command_that_a_user_typed_goes_on(own: Stack) -> None:
    line = [".berth/embedded/tools/bin/supervisorctl", "-c", ".berth/embedded/supervisord.conf", "tail", "-f", "app"]
    with subprocess.Popen(line, cwd=own.root, env=own.environment, stdout=subprocess.PIPE) as typed:
        try:
            assert typed.stdout
            assert typed.stdout.readline()
            ok(own.inv("up"))
            assert typed.poll() is None
        finally:
            typed.kill()


def test_a_migration_takes_as_long_as_it_takes(own: Stack) -> None:
    """The server has its time from when it may start: it has 4 seconds here, and the migration takes 8."""
    times = "interval: 10s\n      timeout: 5s\n      retries: 3\n      start_period: 60s"
    ok(own.inv("stop", "app"))
    with (
        own.edited("docker/docker-compose.yml", times, times.replace("10s", "2s").replace("60s", "2s")),
        own.edited("docker/app/migrate.sh", "    exec python", "    sleep 12\n    exec python"),
    ):
        ok(own.inv("up"))
    assert ready(own)
    ok(own.inv("up"))


def test_everything_of_the_first_start_is_run_in_its_order(own: Stack) -> None:
    ok(own.inv("down"))
    folder = own.root / "docker" / "db" / "psql-init"
    (folder / "more").mkdir()
    (folder / "more" / "words.txt").write_text("from a folder below\n")
    (folder / "e1.sql").write_text("CREATE TABLE first_start (number int, said text);\n")
    (folder / "e2.sql.gz").write_bytes(gzip.compress(b"INSERT INTO first_start VALUES (2, 'packed');\n"))
    (folder / "e3.sh").write_text("docker_process_sql -c \"INSERT INTO first_start VALUES (3, 'sourced')\"\n")
    script = folder / "e4.sh"
    copied = 'psql -c "INSERT INTO first_start VALUES (4, \'$(cat "$(dirname "$0")/more/words.txt")\')"\n'
    script.write_text(f"#!/bin/sh\n{copied}")
    script.chmod(0o755)
    shutil.rmtree(own.state / "data" / "db")
    ok(own.inv("up"))
    query = "SELECT number, said FROM first_start ORDER BY 1"
    words = ["psql", "--username=postgres", "--dbname=postgres", "-qAtc", query]
    rows = ok(own.inv("exec", "db", *words)).stdout
    assert rows == "2|packed\n3|sourced\n4|from a folder below\n"


def test_an_upgrade_without_network_leaves_the_old_one_working(own: Stack) -> None:
    lock = own.root / "requirements" / "dev.txt"
    text = lock.read_text()
    server = own.server("app").pid
    try:
        lock.write_text(f"{text}\nnot-to-be-had==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
        made = ok(own.inv("up", variables={"UV_OFFLINE": "1"}))
        said = ".berth/embedded/packages cannot be brought up to date for now, and stays as it was installed before\n"
        assert said in made.stderr
        assert own.server("app").pid == server
        ok(own.inv("restart", "app"))
        within(30, lambda: ready(own), "the old packages serve")
    finally:
        lock.write_text(text)
    ok(own.inv("up"))


def test_data_of_an_older_berth_is_moved_to_where_it_belongs(own: Stack) -> None:
    own.rows("CREATE TABLE older AS SELECT 1 AS one")
    ok(own.inv("down"))
    (own.state / "data").rename(own.root / ".berth" / "data")
    made = ok(own.inv("up"))
    assert "the data of an older Berth is in .berth/embedded/data now" in made.stderr
    assert own.rows("SELECT one FROM older") == ["1"]


def test_what_depends_on_a_container_is_refused_at_once(own: Stack) -> None:
    cache = "\nservices:\n  cache: {image: redis}\n"
    needs = "    depends_on: &ready\n      db: {condition: service_healthy}\n"
    with own.edited("docker/docker-compose.yml", "\nservices:\n", cache):
        ok(own.inv("ps"))
        with own.edited("docker/docker-compose.yml", needs, needs + "      cache: {condition: service_started}\n"):
            began = time.monotonic()
            made = own.inv("up")
            assert time.monotonic() < began + 20
    assert made.returncode == 1
    assert made.stderr.splitlines()[-1] == (
        "`app` depends on `cache`, which only a container can run: write `required: false` below that dependency, or "
        "type BERTH_ENGINE=docker in front of the command"
    )


def test_a_long_path_and_another_tmpdir_lead_to_the_same_supervisor() -> None:
    with checkout() as made:
        found = embedded(made)
        long = found.root.parent / ("long" * 20) / ("long" * 10)
        long.mkdir(parents=True)
        found.root = found.root.rename(long / found.root.name)
        try:
            ok(found.inv("up"))
            socket = found.state / "run" / "supervisor.sock"
            assert not socket.exists()
            with tempfile.TemporaryDirectory() as other:
                shown = ok(found.inv("ps", variables={"TMPDIR": other})).stdout
                assert "db              healthy" in shown
                ok(found.inv("up", variables={"TMPDIR": other}))
            assert len(found.supervisors()) == 1
            folder = Path(f"/tmp/berth-{os.geteuid()}")
            assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (os.geteuid(), 0o700)
        finally:
            found.end()
