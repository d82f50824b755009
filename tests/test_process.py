"""Real child processes under a real `inv`, through both programs: their stdio and exit codes, and the line that is shown."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from doors import DOORS, environment, project
from hypothesis import given, settings
from hypothesis import strategies as st
from invoke import Config, Context

from berth import process
from berth.errors import Refused

SECONDS = 20

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return project(tmp_path)


@pytest.fixture(params=DOORS)
def run(request: pytest.FixtureRequest, folder: Path) -> Run:
    """Return a function that runs `inv WORDS`."""

    def inv(*words: str, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
        line, env = [*DOORS[request.param], *words], environment(**variables)
        return subprocess.run(line, cwd=folder, env=env, input=stdin, capture_output=True, timeout=SECONDS)

    return inv


@pytest.mark.parametrize("code", [1, 3, 42, 255])
def test_exit_code_of_the_child_is_ours(run: Run, code: int) -> None:
    result = run("run", "sh", "-c", f"exit {code}")
    assert (result.returncode, result.stdout, result.stderr) == (code, b"", f"+ sh -c 'exit {code}'\n".encode())


def test_task_goes_on_after_success(run: Run, folder: Path) -> None:
    result = run("run", "echo", "out")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"out\nran on\n", b"+ echo out\n")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, 137), (signal.SIGSEGV, 139)])
def test_child_that_a_signal_ended_gives_the_shells_code(run: Run, signum: signal.Signals, code: int) -> None:
    assert run("run", "sh", "-c", f"kill -{int(signum)} $$").returncode == code


def test_binary_data_goes_through_untouched_and_quickly(run: Run, folder: Path) -> None:
    data = bytes(range(256)) * (5 * 1024 * 4)
    started = time.monotonic()
    result = run("run", "sh", "-c", "cat; echo error >&2", stdin=data)
    took = time.monotonic() - started

    assert result.stdout == data + b"ran on\n"
    assert result.stderr == b"+ sh -c 'cat; echo error >&2'\nerror\n"
    # A byte at a time, as Invoke's runners read, takes minutes.
    assert took < 5


def test_end_of_stdin_reaches_the_child(run: Run, folder: Path) -> None:
    assert run("run", "sh", "-c", 'read line; echo "got $line"', stdin=b"a\n").stdout == b"got a\nran on\n"


def test_dry_run_shows_and_does_nothing(run: Run, folder: Path) -> None:
    result = run("--dry", "run", "touch", "a file")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"ran on\n", b"+ touch 'a file'\n")
    assert not (folder / "a file").exists()


def test_line_that_is_shown_does_the_same_in_a_shell(run: Run, folder: Path) -> None:
    (folder / "a folder").mkdir()
    result = run("run", "--folder", "a folder", "--variable", "NAME=a 'b' $c", "sh", "-c", 'pwd; echo "$NAME"')
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
def test_missing_program_is_reported(run: Run, folder: Path, program: str, message: str) -> None:
    result = run("run", program, "ps", PATH=str(folder))
    assert (result.returncode, result.stdout, result.stderr.decode()) == (127, b"", f"+ {program} ps\n{message}")


def test_program_that_nobody_may_run_is_reported(run: Run, folder: Path) -> None:
    """A script without its x bit."""
    (folder / "script").touch()
    result = run("run", "./script")
    assert (result.returncode, result.stderr) == (126, b"+ ./script\n`./script` cannot be run: Permission denied\n")


def test_folder_that_is_missing_is_not_taken_for_the_program(run: Run) -> None:
    result = run("run", "--folder", "none", "true")
    assert (result.returncode, result.stderr.splitlines()[1:]) == (1, [b"none: No such file or directory"])


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
    with pytest.raises(Refused) as error:
        process.capture(context, ["no-such-program"], cwd=tmp_path)
    assert (str(error.value), error.value.code) == ("`no-such-program` is not installed, or not on PATH", 127)


def test_unchecked_run_returns_the_code_and_restores_the_handlers(context: Context, tmp_path: Path) -> None:
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = [signal.getsignal(signum) for signum in signals]
    assert process.run(context, ["sh", "-c", "exit 9"], cwd=tmp_path, check=False) == 9
    assert [signal.getsignal(signum) for signum in signals] == before
