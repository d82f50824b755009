"""Signals, keys and terminals: what reaches a real child process under a real `inv`, through both programs."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import psutil
import pytest
from doors import DOORS, environment, project
from invoke import Config, Context

from berth import process

SECONDS = 20

# What a child does until it is told to end; `ready` is printed once it listens for that.
WAITS = """
import signal, sys, time
def end(signum, frame):
    print("told", signum, flush=True)
    time.sleep(0.3)
    print("cleaned up", flush=True)
    sys.exit(7)
signal.signal(signal.SIGINT, end); signal.signal(signal.SIGTERM, end); signal.signal(signal.SIGHUP, end)
print("ready", flush=True)
time.sleep(60)
"""


Inv = Callable[..., "list[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return project(tmp_path)


@pytest.fixture(params=DOORS)
def inv(request: pytest.FixtureRequest) -> Inv:
    """Return a function that gives the line for `inv WORDS`."""
    return lambda *words: [*DOORS[request.param], *words]


@pytest.fixture
def start(inv: Inv, folder: Path) -> Iterator[Start]:
    """Start `inv run COMMAND`, and wait for the first line that the command prints."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str, **variables: str) -> subprocess.Popen[str]:
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        parent = subprocess.Popen(inv("run", *words), cwd=folder, env=environment(**variables), text=True, **options)
        started.append(parent)
        assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
        return parent

    yield run
    for parent in started:
        parent.kill()
        parent.communicate()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_that_ends_us_is_passed_on_first(start: Start, signum: signal.Signals, code: int) -> None:
    parent = start(sys.executable, "-c", WAITS)
    parent.send_signal(signum)
    assert parent.communicate(timeout=SECONDS)[0] == f"told {int(signum)}\ncleaned up\n"
    assert parent.returncode == code


def test_interrupt_without_a_terminal_is_passed_on(start: Start) -> None:
    """As from `kill -INT`, or a nox that is told to stop: no terminal sends it to the child."""
    parent = start(sys.executable, "-c", WAITS)
    parent.send_signal(signal.SIGINT)
    assert parent.communicate(timeout=SECONDS)[0] == "told 2\ncleaned up\n"
    assert parent.returncode == 7


def runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


WRAPPER = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {WAITS!r}]))"


def test_signal_reaches_what_the_child_has_started_and_is_waited_for(start: Start) -> None:
    """As nox, which ends at once and leaves its sessions running, and `docker` with its Compose plugin."""
    parent = start(sys.executable, "-c", WRAPPER)
    family = psutil.Process(parent.pid).children(recursive=True)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(SECONDS) == 143
    assert parent.communicate()[0] == "told 15\ncleaned up\n"
    assert len(family) == 2
    assert not any(map(runs, family))


def test_signals_that_follow_at_once_do_no_harm(start: Start) -> None:
    """A second one met the first one's handler half-done, with `psutil` partially imported."""
    parent = start(sys.executable, "-c", "import signal, time; print('ready', flush=True); time.sleep(60)")
    for signum in [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM] * 5:
        parent.send_signal(signum)
        time.sleep(0.002)
    errors = parent.communicate(timeout=SECONDS)[1]
    # By one of them where it comes after the command has ended, when there is nothing left to do harm to.
    assert parent.returncode in {143, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT}
    assert len(errors.splitlines()) == 1, errors


def test_ctrl_c_after_a_signal_that_ends_us_interrupts_nothing(start: Start, folder: Path) -> None:
    """Python's own end met it, and printed a traceback."""
    leaves = "import atexit, time\n@atexit.register\ndef leave():\n    print('leaving', flush=True); time.sleep(1)\n"
    (folder / "tasks.py").write_text(f"{leaves}{(folder / 'tasks.py').read_text()}")
    parent = start(sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)")
    parent.send_signal(signal.SIGTERM)
    assert parent.stdout is not None and parent.stdout.readline() == "leaving\n"
    parent.send_signal(signal.SIGINT)
    assert len(parent.communicate(timeout=SECONDS)[1].splitlines()) == 1
    assert parent.returncode == 143


def test_sessions_of_nox_end_with_the_task_that_runs_them(folder: Path, inv: Inv) -> None:
    """nox has no handler for SIGTERM: it would end alone."""
    (folder / "tasks.py").write_text("from berth.tasks import collection\nnamespace = collection(__file__)\n")
    child = [sys.executable, "-c", WAITS]
    (folder / "noxfile.py").write_text(
        "import nox\n"
        "@nox.session(venv_backend='none')\n"
        f"def one(session):\n    session.run(*{child}, external=True)\n"
        "@nox.session(venv_backend='none')\n"
        "def two(session):\n    print('two ran')\n"
    )
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(inv("check"), cwd=folder, env=environment(), **options) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
        family = psutil.Process(parent.pid).children(recursive=True)
        parent.send_signal(signal.SIGTERM)
        output = parent.communicate(timeout=SECONDS)[0]
    assert (parent.returncode, output) == (143, "told 15\ncleaned up\n")
    assert len(family) == 2
    assert not any(map(runs, family))


def test_child_that_ignores_a_signal_is_killed_with_all_that_it_has_started(start: Start) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    began = time.monotonic()
    parent = start("--grace=1", "sh", "-c", f"trap '' TERM; {shlex.join([sys.executable, '-c', deaf])}; :")
    family = psutil.Process(parent.pid).children(recursive=True)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(SECONDS) == 143
    assert len(family) == 2
    assert not any(map(runs, family))
    assert time.monotonic() - began < 10


def test_docker_is_told_again_until_it_ends(start: Start, folder: Path) -> None:
    """It ignores what comes before its plugin runs: docker/cli#4402."""
    stand_in = folder / "docker"
    stand_in.write_text(
        f"#!{sys.executable}\n"
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\n"
        "time.sleep(1)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "time.sleep(60)\n"
    )
    stand_in.chmod(0o755)
    parent = start("docker", PATH=f"{folder}:{os.environ['PATH']}")
    began = time.monotonic()
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(SECONDS) == 143
    assert time.monotonic() - began < process.GRACE / 2


Spawn = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def spawn(folder: Path) -> Iterator[Spawn]:
    """Start programs on terminals of their own, and close these."""
    terminals: list[pexpect.spawn[str]] = []

    def start(*argv: str) -> pexpect.spawn[str]:
        terminal: pexpect.spawn[str] = pexpect.spawn(
            argv[0], list(argv[1:]), cwd=str(folder), env=environment(), encoding="utf-8", timeout=SECONDS
        )
        terminals.append(terminal)
        return terminal

    yield start
    for terminal in terminals:
        terminal.close(force=True)


def status(terminal: pexpect.spawn[str]) -> int | None:
    terminal.expect(pexpect.EOF)
    terminal.wait()
    return terminal.exitstatus


def test_child_has_the_terminal(inv: Inv, spawn: Spawn) -> None:
    terminal = spawn(*inv("run", "sh", "-c", "tty <&0 && tty <&1 && tty <&2 && echo all"))
    terminal.expect_exact("all\r\n")
    assert status(terminal) == 0


def test_ctrl_c_reaches_the_child_once_and_its_exit_code_is_ours(inv: Inv, spawn: Spawn) -> None:
    terminal = spawn(*inv("run", sys.executable, "-c", WAITS))
    terminal.expect_exact("ready\r\n")
    terminal.sendintr()
    terminal.expect_exact("told 2\r\n")
    terminal.expect_exact("cleaned up\r\n")
    assert "told" not in terminal.before
    assert status(terminal) == 7
    assert terminal.before == ""


def test_interrupt_by_kill_reaches_a_child_that_reads_single_keys(inv: Inv, spawn: Spawn) -> None:
    terminal = spawn(*inv("run", sys.executable, "-c", "import tty; tty.setraw(0)\n" + WAITS))
    terminal.expect_exact("\nready\n")
    terminal.kill(signal.SIGINT)
    terminal.expect_exact("told 2")
    terminal.expect_exact("cleaned up")
    assert status(terminal) == 7


def test_resize_of_the_window_reaches_the_child(inv: Inv, spawn: Spawn) -> None:
    child = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGWINCH, lambda *_: print('size', *os.get_terminal_size(), flush=True))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    terminal = spawn(*inv("run", sys.executable, "-c", child))
    terminal.expect_exact("ready\r\n")
    terminal.setwinsize(33, 101)
    terminal.expect_exact("size 101 33\r\n")


def test_ctrl_z_stops_and_fg_goes_on(inv: Inv, spawn: Spawn) -> None:
    child = "import sys; print('ready', flush=True); print('got', sys.stdin.readline(), flush=True); sys.exit(5)"
    shell = spawn("bash", "--norc", "--noprofile", "-i")
    shell.sendline(shlex.join(inv("run", sys.executable, "-c", child)))
    shell.expect_exact("\r\nready\r\n")
    shell.sendcontrol("z")
    shell.expect("Stopped")
    shell.sendline("echo the shell is $((40 + 2))")
    shell.expect_exact("the shell is 42\r\n")
    shell.sendline("fg")
    shell.sendline("a line")
    shell.expect_exact("got a line\r\n")
    shell.sendline("echo code $?")
    shell.expect_exact("code 5\r\n")
    shell.sendline("exit")
    assert status(shell) == 0


@pytest.mark.parametrize(("value", "both"), [("true", False), ("1", False), ("", True), ("false", True), ("0", True)])
def test_in_ci_there_is_no_terminal(spawn: Spawn, value: str, both: bool) -> None:
    ask = "from berth import terminal; import sys; sys.exit(terminal.is_terminal())"
    terminal = spawn("env", f"CI={value}", sys.executable, "-c", ask)
    assert status(terminal) == int(both)


LOOKS = ("NO_COLOR", "COMPOSE_ANSI", "COMPOSE_PROGRESS", "BUILDKIT_PROGRESS")


@pytest.mark.parametrize(
    ("variables", "looks"),
    [
        ({}, "None None None None"),
        ({"TERM": "dumb"}, "1 never plain plain"),
        ({"CI": "true"}, "1 never plain plain"),
        ({"CI": "true", "FORCE_COLOR": "1", "COMPOSE_PROGRESS": "quiet"}, "None None quiet plain"),
    ],
)
def test_child_is_plain_where_nobody_watches(inv: Inv, spawn: Spawn, variables: dict[str, str], looks: str) -> None:
    show = f"import os; print('looks', *map(os.environ.get, {LOOKS}))"
    cleared = [word for name in (*LOOKS, "FORCE_COLOR") for word in ("-u", name)]
    given = [f"{name}={value}" for name, value in {"TERM": "xterm", **variables}.items()]
    terminal = spawn("env", *cleared, *given, *inv("run", sys.executable, "-c", show))
    terminal.expect_exact(f"\r\nlooks {looks}\r\n")
    assert status(terminal) == 0


@pytest.mark.parametrize(("command", "both"), [("cat", False), ("", True)])
def test_terminal_is_one_on_both_ends_only(spawn: Spawn, command: str, both: bool) -> None:
    ask = shlex.join([sys.executable, "-c", "from berth import terminal; import sys; sys.exit(terminal.is_terminal())"])
    pipe = f" | {command}" if command else ""
    terminal = spawn("bash", "-c", f"{ask}{pipe}; echo answer ${{PIPESTATUS[0]}}")
    terminal.expect_exact(f"answer {int(both)}\r\n")
    assert status(terminal) == 0


@pytest.fixture
def context() -> Context:
    return Context(Config(overrides={"run": {"echo": False, "dry": False}}))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_in_the_moment_before_the_child_starts_is_not_lost(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: signal.Signals
) -> None:
    start = subprocess.Popen

    def interrupted(*arguments: object, **options: object) -> object:
        signal.raise_signal(signum)
        return start(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(process.subprocess, "Popen", interrupted)
    ended: object = None
    try:
        ended = process.run(context, ["sleep", "60"], cwd=tmp_path, check=False)
    except SystemExit as error:
        ended = error.code
    assert ended == 128 + signum
