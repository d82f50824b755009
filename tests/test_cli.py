"""Our own program, as a user starts it: what it says when something goes wrong, and that nothing is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dry_project
import pytest
from doors import DOORS, ROOT, environment, project

from berth import __version__

SECONDS = 30
BERTH = DOORS["./inv"]

Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return project(tmp_path)


@pytest.fixture(params=DOORS)
def shell(request: pytest.FixtureRequest, folder: Path) -> Shell:
    """Run a line of bash in the project, in which `inv` is one of the programs, and the exit code is that of `inv`."""

    def run(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        inv = f'inv() {{ {" ".join(DOORS[request.param])} "$@"; }}'
        script = f"{inv}; {line}; exit ${{PIPESTATUS[0]}}"
        options = {"cwd": folder, "env": environment(**variables), "timeout": SECONDS}
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, **options)

    return run


def berth(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    options = {"cwd": folder, "env": environment(**variables), "timeout": SECONDS}
    return subprocess.run([*BERTH, *words], capture_output=True, text=True, **options)


@pytest.mark.parametrize(
    ("line", "output", "errors"),
    [
        ("inv run cat <&-", "ran on\n", "+ cat\n"),
        ("inv run echo out >&-", "", "+ echo out\n"),
        ("inv run echo out 2>&-", "out\nran on\n", ""),
        ("inv run echo out <&- >&- 2>&-", "", ""),
    ],
)
def test_closed_stream_is_an_empty_one(shell: Shell, line: str, output: str, errors: str) -> None:
    made = shell(line)
    assert (made.returncode, made.stdout, made.stderr) == (0, output, errors)


def test_file_that_cannot_be_read_is_named(shell: Shell) -> None:
    made = shell("inv read --path none")
    assert (made.returncode, made.stdout, made.stderr) == (1, "", "none: No such file or directory\n")


def test_user_without_a_home_and_a_name_gets_no_traceback(tmp_path: Path) -> None:
    """As in a container that runs as any number."""
    nameless = "import pwd\ndef getpwuid(number):\n    raise KeyError(number)\npwd.getpwuid = getpwuid\n"
    (tmp_path / "sitecustomize.py").write_text(nameless)
    folder = dry_project.copy(tmp_path / "project")
    line = ["env", "-u", "HOME", *BERTH, "ps"]
    env = environment(PYTHONPATH=str(tmp_path), BERTH_ENGINE="docker")
    made = subprocess.run(line, cwd=folder, capture_output=True, text=True, env=env, timeout=SECONDS)
    assert made.returncode == 1
    assert len(made.stderr.splitlines()) == 1, made.stderr


@pytest.mark.parametrize("door", DOORS)
def test_ctrl_c_in_a_task_ends_with_130_and_in_silence(folder: Path, door: str) -> None:
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*DOORS[door], "wait"], cwd=folder, env=environment(), **options) as inv:
        assert inv.stdout is not None and inv.stdout.readline() == "ready\n"
        inv.send_signal(signal.SIGINT)
        output = inv.communicate(timeout=SECONDS)
    assert (inv.returncode, output) == (130, ("", ""))


def test_ctrl_c_while_modules_are_imported_shows_no_traceback(folder: Path) -> None:
    """The file of tasks says when it is the first time; a module below Invoke, when it is even earlier."""
    early = folder / "early"
    early.mkdir()
    for name, file in {"invoke's imports": early / "textwrap.py", "the project's": folder / "tasks.py"}.items():
        file.write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
        with subprocess.Popen(
            [*BERTH, "--list"],
            cwd=folder,
            env={**environment(), "PYTHONPATH": str(early)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as inv:
            assert inv.stdout is not None and inv.stdout.readline() == "ready\n", name
            inv.send_signal(signal.SIGINT)
            # A shell calls this 130.
            assert (inv.wait(SECONDS), inv.communicate()) == (-signal.SIGINT, ("", "")), name
        file.unlink()


def test_nothing_that_a_task_wrote_or_left_for_the_end_is_lost(folder: Path) -> None:
    (folder / "tasks.py").write_text(
        "import atexit\n"
        "from invoke import Exit, task\n"
        "@task\n"
        "def write(c, code):\n"
        "    c.kept = open('written', 'w')\n"
        "    c.kept.write('all of it')\n"
        "    atexit.register(print, 'at the end')\n"
        "    raise Exit('done', code=int(code))\n"
    )
    for code in (0, 7):
        made = berth(folder, "write", "--code", str(code))
        assert (made.returncode, made.stdout, made.stderr) == (code, "at the end\n", "done\n")
        assert (folder / "written").read_text() == "all of it"
        (folder / "written").unlink()


def test_place_without_tasks_is_told(tmp_path: Path) -> None:
    made = berth(tmp_path, "up")
    assert (made.returncode, made.stdout, made.stderr) == (
        1,
        "",
        f"there is no tasks.py in {tmp_path} or a folder above it: change to the folder of a project, "
        "and type `./inv --list`\n",
    )


def test_traceback_is_shown_on_request_only(folder: Path) -> None:
    assert berth(folder, "read", "--path", "none").stderr.count("\n") == 1
    asked = berth(folder, "--debug", "read", "--path", "none")
    assert "Traceback (most recent call last):" in asked.stderr
    assert asked.stderr.endswith("\nnone: No such file or directory\n")


def test_fault_of_ours_has_its_traceback(folder: Path) -> None:
    (folder / "tasks.py").write_text("from invoke import task\n@task\ndef fail(c):\n    1 / 0\n")
    made = berth(folder, "fail")
    assert made.returncode == 1
    assert made.stderr.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("line", ["inv --list", "inv read --path long"])
def test_reader_that_leaves_is_no_error(folder: Path, line: str) -> None:
    (folder / "long").write_text("line\n" * 100_000)
    program = " ".join(BERTH)
    script = f'inv() {{ {program} "$@"; }}; {line} | true; echo "${{PIPESTATUS[0]}}"'
    options = {"cwd": folder, "env": environment(), "timeout": SECONDS}
    made = subprocess.run(["bash", "-c", script], capture_output=True, text=True, **options)
    assert (made.stdout, made.stderr) == ("141\n", "")


def test_command_of_the_project_that_fails_ends_with_its_code(folder: Path) -> None:
    (folder / "tasks.py").write_text("from invoke import task\n@task\ndef fail(c):\n    c.run('exit 9', hide=True)\n")
    made = berth(folder, "fail")
    assert made.returncode == 9
    assert made.stderr.startswith("Encountered a bad command exit code!")


def test_program_is_the_same_from_the_launcher_and_as_a_module(folder: Path) -> None:
    module = [sys.executable, "-m", "berth"]
    for line, name in ((BERTH, "./inv"), (module, "python -m berth")):
        for words, code, start in (
            (["--version"], 0, f"Berth {__version__}\n"),
            (["--help"], 0, f"Usage: {name} [--core-opts] "),
            (["nothing"], 1, f"no task is called `nothing`. Type `{name} --list` for the tasks\n"),
        ):
            made = subprocess.run([*line, *words], cwd=folder, capture_output=True, text=True, env=environment())
            assert (made.returncode, (made.stdout + made.stderr)[: len(start)]) == (code, start)


def test_modules_of_ours_do_not_stand_in_for_others(folder: Path) -> None:
    """Python puts the folder of the file that it runs in front: there `errors`, `process` and `tasks` are ours."""
    (folder / "tasks.py").write_text("import sys\nprint(*sys.path, sep='\\n')\nfrom invoke import task\n")
    assert str(ROOT / "berth") not in berth(folder, "--list").stdout.splitlines()


@pytest.mark.parametrize("told", ["", "1"])
def test_modules_are_compiled_once_whatever_containers_are_told(folder: Path, told: str) -> None:
    (folder / "part.py").touch()
    (folder / "tasks.py").write_text("import part\nfrom invoke import task\n")
    berth(folder, "--list", PYTHONDONTWRITEBYTECODE=told)
    assert [file.name.partition(".")[0] for file in (folder / "__pycache__").glob("part.*")] == ["part"]
