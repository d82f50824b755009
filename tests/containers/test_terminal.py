"""Commands in containers, driven as from a keyboard: keys, signals, sizes, exit codes, and what stays behind.

`stack.task` is plain `inv`; what hangs on the program is tested with `./inv`, too.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable

import pexpect
import psutil
import pytest
from containers.checkout import ok, within
from containers.conftest import Stack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.containers

ESCAPE = "\x1b"
MARKED = "--env BERTH_EXEC=[0-9a-f]{8}"
Task = Callable[..., "list[str]"]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def ended(child: pexpect.spawn) -> int | None:
    """Wait for the end, and return the exit code."""
    child.expect(pexpect.EOF)
    child.close()
    assert child.signalstatus is None
    return child.exitstatus


def running(stack: Stack, mark: str) -> bool:
    """Tell whether a process of the service `app` has ``mark`` in its words."""
    return mark in ok(stack.compose("top", "app")).stdout


@pytest.fixture(params=["./inv", "plain inv"])
def task(stack: Stack, request: pytest.FixtureRequest) -> Task:
    """Return a function that gives the line of a task, by our own program and by Invoke's."""
    if request.param == "plain inv":
        return stack.task
    return lambda *words: stack.command(sys.executable, str(stack.root / "berth" / "__main__.py"), *words)


@pytest.fixture
def mark() -> str:
    """A number of seconds that no other command sleeps for."""
    return str(uuid.uuid4().int % 10**9 + 10**6)


# keys


def test_every_prompt_gets_its_first_key(stack: Stack, task: Task) -> None:
    script = "for number in range(5): print('got', repr(input(f'word {number}? ')))"
    child = stack.spawn(task("exec", "app", "python", "-c", script))
    for number in range(5):
        child.expect_exact(f"word {number}? ")
        child.sendline(f"{number}key")
        child.expect_exact(f"got '{number}key'\r\n")
    assert ended(child) == 0


def test_what_is_typed_ahead_is_kept(stack: Stack) -> None:
    script = "import time; time.sleep(2); print('got', repr(input()))"
    child = stack.spawn(stack.task("exec", "app", "python", "-c", script))
    child.expect(rf"\+ docker compose exec {MARKED} app python")
    child.sendline("typed early")
    child.expect_exact("got 'typed early'\r\n")
    assert ended(child) == 0


def test_a_hidden_prompt_shows_no_key(stack: Stack) -> None:
    script = "import getpass; word = getpass.getpass('Word: '); print('it has', len(word))"
    child = stack.spawn(stack.task("exec", "app", "python", "-c", script))
    child.expect_exact("\r\nWord: ")
    child.sendline("open sesame")
    child.expect_exact("it has 11\r\n")
    assert "sesame" not in child.before
    assert ended(child) == 0


def test_bash_edits_lines_and_controls_jobs(stack: Stack) -> None:
    child = stack.spawn(stack.task("shell"))
    child.expect(r"[$#] ")
    # Ctrl-A goes to the begin of the line, Ctrl-Z stops a job of that bash and not of ours.
    child.send("$((6 * 7)) things\x01echo \r")
    child.expect_exact("42 things\r\n")
    child.sendline("cat")
    child.sendline("cat is here")
    child.expect_exact("cat is here\r\ncat is here\r\n")
    child.sendcontrol("z")
    child.expect(r"Stopped[^$#]*[$#] ")
    child.sendline("fg")
    child.expect_exact("\rcat\r\n")
    child.sendline("cat goes on")
    child.expect_exact("cat goes on\r\ncat goes on\r\n")
    child.sendeof()
    child.expect(r"[$#] ")
    child.sendline("exit 7")
    assert ended(child) == 7


def test_psql_is_usable(stack: Stack) -> None:
    child = stack.spawn(stack.task("exec", "db", "psql", "-U", "postgres"))
    child.expect_exact("postgres=# ")
    child.sendline("SELECT 6 * 7 AS answer;")
    child.expect(r"answer \r\n-+\r\n +42\r\n\(1 row\)")
    child.sendcontrol("c")
    child.expect_exact("postgres=# ")
    child.sendline(r"\q")
    assert ended(child) == 0


def test_a_resize_of_the_window_arrives(stack: Stack) -> None:
    child = stack.spawn(stack.task("shell"))
    child.expect(r"[$#] ")
    child.sendline("stty size")
    child.expect_exact("40 200\r\n")
    child.setwinsize(33, 101)

    def resized() -> bool:
        child.sendline("echo size $(stty size)")
        return child.expect([r"size 33 101\r\n", r"size 40 200\r\n"]) == 0

    within(10, resized, "the container knows the new size")
    child.sendline("exit 0")
    assert ended(child) == 0


# signals


def test_ctrl_c_ends_a_command(stack: Stack, task: Task, mark: str) -> None:
    child = stack.spawn(task("exec", "app", "sleep", mark))
    child.expect_exact(f"sleep {mark}\r\n")
    within(10, lambda: running(stack, mark), "the command runs")
    child.sendintr()
    assert ended(child) == 130
    assert not running(stack, mark)
    assert "Traceback" not in child.before


def test_ctrl_c_ends_a_command_in_a_pipe(stack: Stack, task: Task, mark: str) -> None:
    """It has no terminal in the container then; docker itself leaves it running."""
    line = f"{shlex.join(task('exec', 'app', 'sleep', mark))} | cat; exit ${{PIPESTATUS[0]}}"
    child = stack.spawn(["bash", "-c", line])
    child.expect(rf"exec -T {MARKED} app sleep {mark}\r\n")
    within(10, lambda: running(stack, mark), "the command runs")
    child.sendintr()
    assert ended(child) == 130
    assert not running(stack, mark)


@pytest.mark.parametrize("kind", ["terminal", "pipes"])
@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=["TERM", "HUP", "INT"]
)
def test_a_signal_to_inv_ends_the_command_and_its_children(
    stack: Stack, task: Task, mark: str, kind: str, signum: signal.Signals, code: int
) -> None:
    command = ["sh", "-c", f"sleep {mark}; echo and then"]
    if kind == "terminal":
        child = stack.spawn(task("exec", "app", *command))
        within(10, lambda: running(stack, mark), "the command runs")
        child.kill(signum)
        assert ended(child) == code
    else:
        with subprocess.Popen(
            task("exec", "app", *command),
            cwd=stack.root,
            env=stack.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                within(10, lambda: running(stack, mark), "the command runs")
                process.send_signal(signum)
                assert process.wait(timeout=30) == code
            finally:
                process.kill()
    assert not running(stack, mark)


def test_a_signal_lets_the_command_clean_up_and_shows_what_it_says(stack: Stack) -> None:
    script = "trap 'echo cleaned up; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
    child = stack.spawn(stack.task("exec", "app", "sh", "-c", script))
    child.expect_exact("\r\nready\r\n")
    child.kill(signal.SIGTERM)
    child.expect_exact("cleaned up\r\n")
    assert ended(child) == 143


@pytest.mark.parametrize(
    "line",
    [
        ["app", "python", "-c", "import os; os.execvp('sleep', ['sleep', '{}'])"],
        ["--user", "root", "app", "sh", "-c", "sleep {}; :"],
        ["app", "sh", "-c", "setsid sleep {} & wait"],
    ],
    ids=["another program", "another user", "another session"],
)
def test_a_signal_finds_what_the_command_became(stack: Stack, mark: str, line: list[str]) -> None:
    child = stack.spawn(stack.task("exec", *(word.format(mark) for word in line)))
    within(10, lambda: running(stack, f"sleep {mark}"), "the command runs")
    child.kill(signal.SIGTERM)
    assert ended(child) == 143
    assert not running(stack, mark)


@pytest.mark.parametrize("seconds", [0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5])
def test_a_signal_in_the_first_moments_of_docker_is_not_lost(stack: Stack, seconds: float) -> None:
    child = stack.spawn(stack.task("logs", "--follow", "--tail", "1"))
    child.expect_exact("+ docker compose logs --follow --tail 1\r\n")
    time.sleep(seconds)
    told = time.monotonic()
    child.kill(signal.SIGTERM)
    child.expect(pexpect.EOF)
    child.close()
    # It ends us by itself where it comes before docker is started.
    assert child.exitstatus == 143 or child.signalstatus == signal.SIGTERM
    assert time.monotonic() - told < 8


def test_a_signal_spares_the_same_command_of_others(stack: Stack, mark: str) -> None:
    def count() -> int:
        return ok(stack.compose("top", "app")).stdout.count(f"sleep {mark}")

    first = stack.spawn(stack.task("exec", "app", "sleep", mark))
    within(10, lambda: count() == 1, "the first one runs")
    second = stack.spawn(stack.task("exec", "app", "sleep", mark))
    within(10, lambda: count() == 2, "the second one runs")
    first.kill(signal.SIGTERM)
    assert ended(first) == 143
    assert count() == 1
    assert second.isalive()
    second.sendintr()
    assert ended(second) == 130
    assert count() == 0


def test_a_command_that_ignores_the_signal_is_killed_after_the_grace_period(stack: Stack, mark: str) -> None:
    child = stack.spawn(stack.task("exec", "app", "sh", "-c", f"trap '' TERM; sleep {mark}; sleep {mark}"))
    within(10, lambda: running(stack, mark), "the command runs")
    child.kill(signal.SIGTERM)
    assert ended(child) == 143
    assert not running(stack, mark)


def test_a_signal_to_manage_ends_its_command(stack: Stack, mark: str) -> None:
    child = stack.spawn(stack.task("manage", "shell", "-c", f"import time; print('ready'); time.sleep({mark})"))
    child.expect_exact("ready\r\n")
    child.kill(signal.SIGTERM)
    assert ended(child) == 143
    assert not running(stack, mark)


@pytest.mark.parametrize("end", ["Ctrl-C", "SIGTERM"])
def test_a_build_can_be_left(stack: Stack, end: str) -> None:
    child = stack.spawn(stack.task("build", "--no-cache", "app"))
    child.expect_exact("load build context")
    if end == "Ctrl-C":
        child.sendintr()
        assert ended(child) == 130
    else:
        child.kill(signal.SIGTERM)
        assert ended(child) == 143
    assert "Traceback" not in child.before
    # The last word on the cursor is that it is shown.
    assert child.before.rpartition(f"{ESCAPE}[?25")[2][:1] in {"h", ""}


def test_ctrl_z_stops_and_fg_goes_on(stack: Stack, task: Task) -> None:
    shell = stack.spawn(["bash", "--norc", "--noprofile", "-i"])
    shell.sendline(shlex.join(task("logs", "--follow", "--tail", "1", "migrate", "app")))
    shell.expect_exact("+ docker compose logs --follow --tail 1 migrate app\r\n")
    shell.expect(r"(app|migrate)-1")
    shell.sendcontrol("z")
    shell.expect("Stopped")
    shell.sendline("echo the shell is $((40 + 2))")
    shell.expect_exact("the shell is 42\r\n")
    shell.sendline("fg")
    shell.expect("logs --follow")
    assert stack.get("/status/").status == 200
    stack.get("/left-by-ctrl-z/")
    shell.expect_exact("/left-by-ctrl-z/")
    shell.sendintr()
    shell.sendline("echo code $?")
    shell.expect_exact("code 130\r\n")
    shell.sendline("exit")
    assert ended(shell) == 0


# the terminal


def kill_docker(child: pexpect.spawn) -> None:
    """Kill what reads single keys: docker, which then cannot put the terminal right."""
    (inv,) = psutil.Process(child.pid).children()
    docker, *plugins = inv.children(recursive=True)
    for process in (docker, *plugins):
        with contextlib.suppress(psutil.NoSuchProcess):  # the plugin may end by itself, without its parent
            process.kill()


ENDS: dict[str, Callable[[pexpect.spawn], object]] = {
    "its own": lambda child: child.sendline("exit 0"),
    "Ctrl-D": lambda child: child.sendeof(),
    "SIGTERM": lambda child: psutil.Process(child.pid).children()[0].terminate(),
    "kill -9 of docker": kill_docker,
}


@pytest.mark.parametrize("end", ENDS)
def test_the_terminal_is_as_before_after_every_end(stack: Stack, task: Task, end: str) -> None:
    line = shlex.join(task("exec", "app", "sh"))
    child = stack.spawn(["bash", "-c", f"stty -g; {line}; echo; stty -g; echo over"])
    child.expect(r"([0-9a-f:]{20,})\r\n")
    before = child.match[1]
    child.expect(r"[$#] ")
    ENDS[end](child)
    child.expect(r"\n([0-9a-f:]{20,})\r\n")
    assert child.match[1] == before
    child.expect_exact("over\r\n")
    assert ended(child) == 0


def test_in_ci_a_terminal_is_none(stack: Stack) -> None:
    stack.environment["CI"] = "true"
    try:
        child = stack.spawn(stack.task("exec", "app", "tty"))
        assert ended(child) == 1
    finally:
        del stack.environment["CI"]
    assert re.search(rf"\+ docker compose exec -T {MARKED} app tty\r\n", child.before)
    assert "not a tty" in child.before


@pytest.mark.parametrize("variables", [{"CI": "true"}, {"TERM": "dumb"}])
@pytest.mark.parametrize("words", [["up"], ["build"], ["logs", "--tail", "3"]], ids=" ".join)
def test_output_is_plain_where_nobody_reads_or_the_terminal_is_dumb(
    stack: Stack, variables: dict[str, str], words: list[str]
) -> None:
    line = ["env", "-u", "NO_COLOR", *(f"{name}={value}" for name, value in variables.items())]
    child = stack.spawn([*line, *stack.task(*words)])
    assert ended(child) == 0, child.before
    # Compose 2.26 clears each line of a log on any terminal, whatever it is told.
    assert ESCAPE not in child.before.replace(f"{ESCAPE}[2K", "")


@pytest.mark.parametrize("words", [["up"], ["build"], ["logs", "--tail", "3"]], ids=" ".join)
def test_no_color_is_honoured_on_a_terminal(stack: Stack, words: list[str]) -> None:
    child = stack.spawn(["env", "NO_COLOR=1", "TERM=xterm", *stack.task(*words)])
    assert ended(child) == 0, child.before
    assert {found for found in COLOUR.findall(child.before) if found not in {f"{ESCAPE}[0m", f"{ESCAPE}[m"}} == set()


# data and words


def test_a_dump_goes_out_and_in_again(stack: Stack) -> None:
    stack.sql("CREATE TABLE dumped AS SELECT n, md5(n::text) AS word FROM generate_series(1, 5000) AS n")
    try:
        before = stack.sql("SELECT md5(string_agg(word, ',' ORDER BY n)) FROM dumped")
        target = stack.root / "dump"
        options = ["-U", "postgres", "--format=custom", "--table=dumped", stack.value("DB_NAME")]
        with target.open("wb") as file:
            dumped = subprocess.run(
                stack.task("exec", "db", "pg_dump", *options),
                cwd=stack.root,
                env=stack.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                timeout=60,
            )
        assert dumped.returncode == 0
        assert target.read_bytes().startswith(b"PGDMP")
        stack.sql("DROP TABLE dumped")
        restore = stack.task("exec", "db", "pg_restore", "-U", "postgres", "--dbname", stack.value("DB_NAME"))
        ok(stack.run(restore, stdin=target.read_bytes()))
        assert stack.sql("SELECT md5(string_agg(word, ',' ORDER BY n)) FROM dumped") == before
    finally:
        stack.sql("DROP TABLE IF EXISTS dumped")


WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(
    [
        "",
        "--",
        "-e",
        "--help",
        "-h",
        "--list",
        "up",
        "exec",
        "app",
        "*",
        "$HOME",
        "a b",
        "'",
        '"',
        "\n",
        "é日",
        "--user",
    ]
)
PRINT = "import json, sys; print(json.dumps(sys.argv[1:]))"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(WORD, max_size=6))
def test_any_words_arrive_in_the_container_as_they_were_typed(stack: Stack, words: list[str]) -> None:
    made = ok(stack.inv("exec", "app", "python", "-c", PRINT, *words))
    assert json.loads(made.stdout) == words


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(WORD, max_size=6))
def test_any_words_behind_manage_arrive_as_they_were_typed(stack: Stack, words: list[str]) -> None:
    command = stack.root / "app/users/management/commands/print_words.py"
    command.parent.mkdir(parents=True, exist_ok=True)
    command.write_text(
        "import json\n"
        "from django.core.management.base import BaseCommand\n"
        "class Command(BaseCommand):\n"
        "    def run_from_argv(self, argv):\n"
        "        print(json.dumps(argv[2:]))\n"
    )
    made = ok(stack.inv("manage", "print_words", *words))
    assert json.loads(made.stdout) == words


def test_exec_runs_as_the_user_asked_for(stack: Stack) -> None:
    made = ok(stack.inv("exec", "--user", "4711", "app", "id", "-u"))
    assert made.stdout == "4711\n"
    assert re.fullmatch(rf"\+ docker compose exec -T {MARKED} --user 4711 app id -u\n", made.stderr)


def test_the_line_that_is_shown_holds_no_secret(stack: Stack) -> None:
    secret = stack.value("DB_PASSWORD")
    made = ok(stack.inv("exec", "app", "env", "PGPASSWORD=hunter2", "sh", "-c", f": {secret}; echo done"))
    assert made.stdout == "done\n"
    shown = re.escape("env 'PGPASSWORD=***' sh -c ': ***; echo done'")
    assert re.fullmatch(rf"\+ docker compose exec -T {MARKED} app {shown}\n", made.stderr)
