"""What is special where no containers are: whose processes run, what they listen on, and how they get there."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import uuid
from collections.abc import Iterator

import psutil
import pytest
from containers.checkout import get, ok, within
from embedded.conftest import PORTS, Stack, running

SERVICES = {"app", "broker", "db", "queues", "worker-default"}


def test_one_line_says_which_engine_runs_and_why(stack: Stack) -> None:
    line = "engine: embedded, without containers (the services were started so; `./inv down` ends that)\n"
    assert ok(stack.inv("ps")).stderr == line


def test_every_line_that_runs_is_shown(stack: Stack) -> None:
    made = ok(stack.inv("exec", "db", "psql", "-qAtc", "SELECT 1"))
    assert made.stderr.splitlines()[1:] == ["+ .berth/embedded/bin/enter db psql -qAtc 'SELECT 1'"]
    assert ok(stack.run([".berth/embedded/bin/enter", "db", "psql", "-qAtc", "SELECT 1"])).stdout == "1\n"


def test_a_second_up_changes_nothing_but_migrates(stack: Stack) -> None:
    before = {service: stack.server(service).pid for service in SERVICES}
    made = ok(stack.inv("up"))
    assert made.stderr.splitlines()[1:] == [
        "+ .berth/embedded/tools/bin/supervisorctl -c .berth/embedded/supervisord.conf start migrate"
    ]
    assert {service: stack.server(service).pid for service in SERVICES} == before


def test_servers_listen_on_loopback_only(stack: Stack) -> None:
    pids = {process.pid for processes in stack.processes().values() for process in processes}
    found = {
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.pid in pids
    }
    # Java maps IPv4 addresses into IPv6.
    ports = {port for _, port in found}
    assert {int(stack.port(name)) for name in PORTS} <= ports
    assert {ip.removeprefix("::ffff:") for ip, _ in found} == {"127.0.0.1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to lose")
def test_no_server_that_root_starts_is_root(stack: Stack) -> None:
    uids = {service: stack.server(service).uids().real for service in ("db", "broker")}
    assert 0 not in uids.values()
    assert {stack.server(service).uids().effective for service in ("db", "broker")} == set(uids.values())


def test_the_database_wants_a_password(stack: Stack) -> None:
    words = ["env", "PGPASSWORD=wrong", "psql", "-qAtc", "SELECT 1"]
    for user in ("postgres", "app"):
        made = stack.inv("exec", "db", *words, "--username", user)
        assert made.returncode == 2
        assert f'FATAL:  password authentication failed for user "{user}"' in made.stderr
    made = stack.inv("exec", "db", "env", "-u", "PGPASSFILE", *words[2:], "--no-password")
    assert "fe_sendauth: no password supplied" in made.stderr
    rules = (stack.state / "data" / "db" / "cluster" / "pg_hba.conf").read_text()
    assert {row.split()[-1] for row in rules.splitlines() if row and not row.startswith("#")} == {"scram-sha-256"}


def test_the_database_sorts_alike_everywhere_and_speaks_utf_8(stack: Stack) -> None:
    found = stack.rows("SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding) FROM pg_database")
    assert set(found) == {"b|C.UTF-8|UTF8"}


def test_clients_need_no_arguments(stack: Stack) -> None:
    assert stack.rows("SELECT current_user, current_database()") == ["app|app"]
    assert "CREATE TABLE public.users_userexport" in ok(stack.inv("exec", "db", "pg_dump")).stdout


def test_secrets_are_for_their_owner_only(stack: Stack) -> None:
    secret = stack.value("DB_PASSWORD").encode()
    readable = [
        path
        for folder in ("bin", "data", "logs", "mounts", "passwords", "run", "services", "supervisord.conf")
        for path in [stack.state / folder, *(stack.state / folder).rglob("*")]
        if path.is_file() and secret in path.read_bytes() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert readable == []
    # Of processes that end meanwhile nothing is known.
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert secret.decode() not in "".join(lines)


def test_settings_do_not_know_which_engine_runs(stack: Stack) -> None:
    found = dict(row.split("=", 1) for row in ok(stack.inv("exec", "app", "env")).stdout.splitlines())
    # The folder of a module for the worker, which the image has at its own place.
    assert [name for name in found if name.startswith("BERTH")] == ["BERTH_LIB"]
    assert (found["DB_HOST"], found["DB_PORT"]) == ("127.0.0.1", stack.port("DB"))
    assert found["CELERY_BROKER_URL"] == f"sqs://127.0.0.1:{stack.port('BROKER')}"


def test_a_worker_that_is_edited_starts_again(stack: Stack) -> None:
    task = stack.root / "app/users/tasks.py"
    text = task.read_text()
    try:
        task.write_text(f"{text}\n\n@shared_task\ndef added_just_now() -> None:\n    pass\n")
        log = stack.state / "logs" / "worker-default.log"
        within(60, lambda: "users.tasks.added_just_now" in log.read_text(), "the worker knows the task")
    finally:
        task.write_text(text)


def test_a_service_that_fails_is_explained(stack: Stack) -> None:
    path = stack.root / "docker" / "app" / "start-celery-worker.sh"
    text = path.read_text()
    try:
        path.write_text("#!/usr/bin/env bash\necho 'no luck today'\nexit 3\n")
        ok(stack.inv("stop", "worker-default"))
        made = stack.inv("up")
        assert made.returncode == 1
        message = made.stderr[made.stderr.index("worker-default failed: ") :].splitlines()
        assert message[:2] == [
            "worker-default failed: it ends again and again",
            "its last lines (`./inv logs worker-default` shows all):",
        ]
        # Whether a further attempt has written its first line by then is a matter of luck.
        assert "no luck today" in message
    finally:
        path.write_text(text)
    ok(stack.inv("up"))


def test_a_migration_that_fails_is_explained(stack: Stack) -> None:
    path = stack.root / "app" / "users" / "migrations" / "0999_broken.py"
    try:
        path.write_text("raise RuntimeError('no luck with this one')\n")
        made = stack.inv("up")
        assert made.returncode == 1
        assert "\nmigrate failed: it exited with code 1\n" in made.stderr
        assert made.stderr.endswith("RuntimeError: no luck with this one\n")
    finally:
        path.unlink()
    ok(stack.inv("up"))


def test_a_change_in_env_reaches_the_services(stack: Stack) -> None:
    before = stack.server("db").pid
    stack.set(LOG_LEVEL="WARNING")
    try:
        ok(stack.inv("up"))
        assert ok(stack.inv("exec", "app", "printenv", "LOG_LEVEL")).stdout == "WARNING\n"
        assert "LOG_LEVEL" in stack.server("worker-default").environ()
        assert stack.server("worker-default").environ()["LOG_LEVEL"] == "WARNING"
        assert stack.server("db").pid == before
    finally:
        stack.set(LOG_LEVEL="INFO")
        ok(stack.inv("up"))


def test_a_new_worker_in_the_compose_file_runs_too(stack: Stack) -> None:
    path = stack.root / "docker" / "docker-compose.yml"
    text = path.read_text()
    copy = text[text.index("  worker-default:\n") :].split("\n\n")[0] + "\n"
    try:
        path.write_text(
            text.replace("\nvolumes:\n", "\n" + copy.replace("worker-default:", "worker-more:") + "\nvolumes:\n")
        )
        made = ok(stack.inv("up"))
        assert "worker-more     healthy" in made.stdout
        assert "ready." in ok(stack.inv("logs", "worker-more")).stdout
    finally:
        path.write_text(text)
        made = ok(stack.inv("up"))
    assert "worker-more" not in made.stdout[made.stdout.index("service ") :]
    assert set(stack.processes()) - {"migrate"} == SERVICES


def test_workers_are_scaled_by_a_variable(stack: Stack) -> None:
    stack.set(WORKER_REPLICAS="2")
    try:
        made = ok(stack.inv("up"))
        assert made.stdout.count("worker-default  healthy") == 2
        assert {"worker-default-1", "worker-default-2"} <= set(stack.processes())
    finally:
        stack.set(WORKER_REPLICAS="1")
        ok(stack.inv("up"))


def test_what_only_a_container_can_run_is_left_out(stack: Stack) -> None:
    path = stack.root / "docker" / "docker-compose.yml"
    text = path.read_text()
    try:
        path.write_text(text.replace("\nservices:\n", "\nservices:\n  cache: {image: redis}\n"))
        assert "left out, as only containers can run it: cache\n" in ok(stack.inv("ps")).stderr
        made = stack.inv("up", "cache")
        assert made.returncode == 1
        assert made.stderr.endswith("`cache` needs a container: type BERTH_ENGINE=docker in front of the command\n")
    finally:
        path.write_text(text)


def test_a_port_that_is_taken_is_named_with_its_holder(stack: Stack) -> None:
    ok(stack.inv("down"))
    try:
        with socket.create_server(("127.0.0.1", int(stack.port("DB")))):
            made = stack.inv("up")
        assert made.returncode == 1
        assert re.fullmatch(
            rf"port {stack.port('DB')} of 127\.0\.0\.1, for db, is taken by {re.escape(psutil.Process().name())} "
            rf"\(pid {os.getpid()}\): end that, or set DB_PUBLISHED_PORT=\d+ in \.env",
            made.stderr.splitlines()[-1],
        )
    finally:
        ok(stack.inv("up"))


def test_down_leaves_no_process_and_no_port(stack: Stack) -> None:
    supervisor = stack.supervisor()
    ok(stack.inv("down"))
    try:
        assert stack.processes() == {}
        assert not supervisor.is_running()
        for name in PORTS:
            with socket.socket() as free:
                free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                free.bind(("127.0.0.1", int(stack.port(name))))
        assert sorted(path.name for path in (stack.state / "data").iterdir()) == ["broker", "db"]
    finally:
        ok(stack.inv("up"))


def test_tests_of_the_project_run_against_the_services(stack: Stack) -> None:
    made = ok(stack.inv("test", "-q", "-k", "test_liveness_asks_nothing"))
    assert " passed" in made.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def other() -> Iterator[Stack]:
    """A second clone beside the first, of a user who has no name and no rights."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    with running("12345:12345") as made:
        yield made


def test_a_second_clone_of_another_user_runs_beside(stack: Stack, other: Stack) -> None:
    for made in (stack, other):
        assert made.get("/status/ready/").status == 200
    assert {stack.port(name) for name in PORTS} & {other.port(name) for name in PORTS} == set()
    name = uuid.uuid4().hex
    stack.rows(f'CREATE TABLE "{name}" ()')
    assert other.rows(f"SELECT to_regclass('\"{name}\"') IS NULL") == ["t"]


def test_everything_of_another_user_is_theirs(other: Stack) -> None:
    uids = {process.uids().effective for found in other.processes().values() for process in found}
    assert uids == {12345}
    foreign = [path for path in other.root.rglob("*") if path.lstat().st_uid != 12345]
    assert foreign == []
    ok(other.inv("down"))
    assert other.processes() == {}
    assert get(other.url("/status/")).status == 0
    assert subprocess.run(["ps", "-u", "12345"], capture_output=True).returncode == 1
