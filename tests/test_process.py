"""Real child processes under a real `inv`: their stdio, signals, terminals and exit codes."""

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
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invoke import Config, Context, Exit

from berth import process

ROOT = Path(__file__).parents[1]
SECONDS = 20

TASKS = '''
from pathlib import Path
from invoke import task
from berth import process
from berth.arguments import CommandTask
from berth.collection import collection

@task(klass=CommandTask, iterable=["command"], auto_shortflags=False)
def run(c, command, folder=".", variable=""):
    """Run a command."""
    process.run(c, command, cwd=Path(folder), env=dict([variable.split("=", 1)]) if variable else None)
    print("ran on")

namespace = collection(__file__, run)
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with one task, which runs a command."""
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "", "PS1": "$ "}


def inv(*words: str) -> list[str]:
    return [sys.executable, "-m", "invoke", *words]


def run(folder: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(inv(*words), cwd=folder, env=environment(), input=stdin, capture_output=True, timeout=SECONDS)


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


@pytest.mark.parametrize("code", [1, 3, 42, 255])
def test_exit_code_of_the_child_is_ours(folder: Path, code: int) -> None:
    result = run(folder, "run", "sh", "-c", f"exit {code}")
    assert (result.returncode, result.stdout, result.stderr) == (code, b"", f"+ sh -c 'exit {code}'\n".encode())


def test_task_goes_on_after_success(folder: Path) -> None:
    result = run(folder, "run", "echo", "out")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"out\nran on\n", b"+ echo out\n")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, 137), (signal.SIGSEGV, 139)])
def test_child_that_a_signal_ended_gives_the_shells_code(folder: Path, signum: signal.Signals, code: int) -> None:
    assert run(folder, "run", "sh", "-c", f"kill -{int(signum)} $$").returncode == code


def test_binary_data_goes_through_untouched_and_quickly(folder: Path) -> None:
    data = bytes(range(256)) * (5 * 1024 * 4)
    started = time.monotonic()
    result = run(folder, "run", "sh", "-c", "cat; echo error >&2", stdin=data)
    took = time.monotonic() - started

    assert result.stdout == data + b"ran on\n"
    assert result.stderr == b"+ sh -c 'cat; echo error >&2'\nerror\n"
    # A byte at a time, as Invoke's runners read, takes minutes.
    assert took < 5


def test_end_of_stdin_reaches_the_child(folder: Path) -> None:
    assert run(folder, "run", "sh", "-c", 'read line; echo "got $line"', stdin=b"a\n").stdout == b"got a\nran on\n"


def test_dry_run_shows_and_does_nothing(folder: Path) -> None:
    result = run(folder, "--dry", "run", "touch", "a file")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"ran on\n", b"+ touch 'a file'\n")
    assert not (folder / "a file").exists()


def test_line_that_is_shown_does_the_same_in_a_shell(folder: Path) -> None:
    (folder / "a folder").mkdir()
    result = run(folder, "run", "--folder", "a folder", "--variable", "NAME=a 'b' $c", "sh", "-c", 'pwd; echo "$NAME"')
    shown = result.stderr.decode().removeprefix("+ ")

    assert shown == """(cd 'a folder' && NAME='a '"'"'b'"'"' $c' sh -c 'pwd; echo "$NAME"')\n"""
    assert result.stdout.decode() == f"{folder}/a folder\na 'b' $c\nran on\n"
    assert subprocess.check_output(["sh", "-c", shown], cwd=folder, text=True) == f"{folder}/a folder\na 'b' $c\n"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("no-such-program", "`no-such-program` is not installed, or not on PATH\n"),
        (
            "docker",
            "docker is not installed: install Docker Engine or Docker Desktop with Compose, "
            "see https://docs.docker.com/engine/install/\n",
        ),
    ],
)
def test_missing_program_is_reported(folder: Path, program: str, message: str) -> None:
    result = subprocess.run(
        inv("run", program, "ps"),
        cwd=folder,
        env={**environment(), "PATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert (result.returncode, result.stdout, result.stderr) == (127, "", f"+ {program} ps\n{message}")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_that_ends_us_is_passed_on_first(folder: Path, signum: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        inv("run", sys.executable, "-c", WAITS), cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
        parent.send_signal(signum)
        assert parent.communicate(timeout=SECONDS)[0] == f"told {int(signum)}\ncleaned up\n"
    assert parent.returncode == code


def test_interrupt_without_a_terminal_is_passed_on(folder: Path) -> None:
    """As from `kill -INT`, or a nox that is told to stop: no terminal sends it to the child."""
    with subprocess.Popen(
        inv("run", sys.executable, "-c", WAITS),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
        parent.send_signal(signal.SIGINT)
        assert parent.communicate(timeout=SECONDS)[0] == "told 2\ncleaned up\n"
    assert parent.returncode == 7


def test_signal_reaches_the_innermost_process(folder: Path) -> None:
    """As that of `docker`, which starts its Compose plugin."""
    wrapper = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {WAITS!r}]))"
    with subprocess.Popen(
        inv("run", sys.executable, "-c", wrapper), cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
        parent.send_signal(signal.SIGTERM)
        assert parent.communicate(timeout=SECONDS)[0] == "told 15\ncleaned up\n"
    assert parent.returncode == 143


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


def test_child_has_the_terminal(spawn: Spawn) -> None:
    terminal = spawn(*inv("run", "sh", "-c", "tty <&0 && tty <&1 && tty <&2 && echo all"))
    terminal.expect_exact("all\r\n")
    assert status(terminal) == 0


def test_ctrl_c_reaches_the_child_once_and_its_exit_code_is_ours(spawn: Spawn) -> None:
    terminal = spawn(*inv("run", sys.executable, "-c", WAITS))
    terminal.expect_exact("ready\r\n")
    terminal.sendintr()
    terminal.expect_exact("told 2\r\n")
    terminal.expect_exact("cleaned up\r\n")
    assert "told" not in terminal.before
    assert status(terminal) == 7
    assert terminal.before == ""


def test_interrupt_by_kill_reaches_a_child_that_reads_single_keys(spawn: Spawn) -> None:
    terminal = spawn(*inv("run", sys.executable, "-c", "import tty; tty.setraw(0)\n" + WAITS))
    terminal.expect_exact("\nready\n")
    terminal.kill(signal.SIGINT)
    terminal.expect_exact("told 2")
    terminal.expect_exact("cleaned up")
    assert status(terminal) == 7


def test_resize_of_the_window_reaches_the_child(spawn: Spawn) -> None:
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


def test_ctrl_z_stops_and_fg_goes_on(spawn: Spawn) -> None:
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
    ask = "from berth import process; import sys; sys.exit(process.is_terminal())"
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
def test_child_is_plain_where_nobody_watches(spawn: Spawn, variables: dict[str, str], looks: str) -> None:
    show = f"import os; print('looks', *map(os.environ.get, {LOOKS}))"
    cleared = [word for name in (*LOOKS, "FORCE_COLOR") for word in ("-u", name)]
    given = [f"{name}={value}" for name, value in {"TERM": "xterm", **variables}.items()]
    terminal = spawn("env", *cleared, *given, *inv("run", sys.executable, "-c", show))
    terminal.expect_exact(f"\r\nlooks {looks}\r\n")
    assert status(terminal) == 0


@pytest.mark.parametrize(("command", "both"), [("cat", False), ("", True)])
def test_terminal_is_one_on_both_ends_only(spawn: Spawn, command: str, both: bool) -> None:
    ask = shlex.join([sys.executable, "-c", "from berth import process; import sys; sys.exit(process.is_terminal())"])
    pipe = f" | {command}" if command else ""
    terminal = spawn("bash", "-c", f"{ask}{pipe}; echo answer ${{PIPESTATUS[0]}}")
    terminal.expect_exact(f"answer {int(both)}\r\n")
    assert status(terminal) == 0


WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.lists(WORDS, min_size=1))
def test_line_reads_back_as_the_same_words(argv: list[str]) -> None:
    assert shlex.split(process.line(argv)) == argv


@settings(max_examples=30, deadline=None)
@given(st.lists(WORDS), WORDS)
def test_shell_reads_the_line_as_the_same_words(words: list[str], value: str) -> None:
    program = "import os, sys; sys.stdout.write('\\0'.join([os.environ['VALUE'], *sys.argv[1:]]))"
    shown = process.line([sys.executable, "-ISc", program, *words], env={"VALUE": value})
    output = subprocess.check_output(["sh", "-c", shown], env={"PYTHONUTF8": "1"})
    assert output.decode() == "\0".join([value, *words])


@pytest.fixture
def context() -> Context:
    return Context(Config(overrides={"run": {"echo": False, "dry": False}}))


def test_capture_reads_output_and_shows_nothing(
    context: Context, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = process.capture(
        context, ["sh", "-c", 'pwd; printf "%s\\n" "$A" >&2; exit 3'], cwd=tmp_path, env={"A": "é"}
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (3, f"{tmp_path}\n", "é\n")
    assert capfd.readouterr() == ("", "")


def test_capture_has_no_input_and_survives_any_bytes(context: Context, tmp_path: Path) -> None:
    assert process.capture(context, ["sh", "-c", r"cat; printf '\351'"], cwd=tmp_path).stdout == "�"


def test_capture_shows_its_line_on_request(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    process.capture(Context(Config(overrides={"run": {"echo": True}})), ["echo", "a b"], cwd=tmp_path)
    assert capfd.readouterr() == ("", f"+ (cd {tmp_path} && echo 'a b')\n")


def test_capture_of_a_missing_program_is_reported(context: Context, tmp_path: Path) -> None:
    with pytest.raises(Exit) as error:
        process.capture(context, ["no-such-program"], cwd=tmp_path)
    assert (str(error.value), error.value.code) == ("`no-such-program` is not installed, or not on PATH", 127)


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


def test_unchecked_run_returns_the_code_and_restores_the_handlers(context: Context, tmp_path: Path) -> None:
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = [signal.getsignal(signum) for signum in signals]
    assert process.run(context, ["sh", "-c", "exit 9"], cwd=tmp_path, check=False) == 9
    assert [signal.getsignal(signum) for signum in signals] == before
