"""Processes that are ours by their environment, or by their command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from berth.engines.embedded import leftovers

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python with the code and the variables, and wait until it says that it is there."""
    made: list[subprocess.Popen[str]] = []

    def run(code: str = "", **variables: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-c", f"import time\n{code}\nprint('there', flush=True)\ntime.sleep(60)"]
        made.append(subprocess.Popen(line, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True))
        assert made[-1].stdout
        assert made[-1].stdout.readline() == "there\n"
        return made[-1]

    yield run
    for process in made:
        process.kill()
        process.communicate()


def test_processes_of_this_checkout_are_found_and_no_others(start: Start, tmp_path: Path) -> None:
    ours = start(BERTH_PROCESS=f"{tmp_path}:app")
    start(BERTH_PROCESS=f"{tmp_path}-other:app")
    start()
    assert [process.pid for process in leftovers.find(tmp_path)] == [ours.pid]


def test_processes_are_ended_by_the_signal_of_their_service(start: Start, tmp_path: Path) -> None:
    witness = (
        "import pathlib, signal, sys\n"
        "def end(number, frame):\n"
        f"    pathlib.Path({str(tmp_path)!r}, signal.Signals(number).name).touch()\n"
        "    sys.exit()\n"
        "for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, end)"
    )
    start(witness, BERTH_PROCESS=f"{tmp_path}:app")
    leftovers.end(leftovers.find(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["SIGTERM"]
    (tmp_path / "SIGTERM").unlink()
    start(witness, BERTH_PROCESS=f"{tmp_path}:db", BERTH_STOP_SIGNAL=str(int(signal.SIGINT)))
    leftovers.end(leftovers.find(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["SIGINT"]
    assert leftovers.find(tmp_path) == []


def test_what_does_not_end_is_killed(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "LIMIT_S", 0.2)
    start("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)", BERTH_PROCESS=f"{tmp_path}:app")
    assert len(leftovers.find(tmp_path)) == 1
    leftovers.end(leftovers.find(tmp_path))
    assert leftovers.find(tmp_path) == []


def test_the_end_of_a_process_is_waited_for(start: Start) -> None:
    process = start()
    assert not leftovers.wait_for_end(process.pid, 0.1)
    process.kill()
    process.wait()
    began = time.monotonic()
    assert leftovers.wait_for_end(process.pid, 30)
    assert time.monotonic() < began + 30


def test_commands_that_tasks_have_started_are_told_from_typed_ones(tmp_path: Path) -> None:
    (tmp_path / "supervisorctl").write_text("import time\nprint('there', flush=True)\ntime.sleep(60)\n")
    line = [sys.executable, "supervisorctl"]
    typed = {name: value for name, value in os.environ.items() if name != leftovers.TASK}
    with (
        subprocess.Popen(line, cwd=tmp_path, env=typed, stdout=subprocess.PIPE) as user,
        subprocess.Popen(line, cwd=tmp_path, env={**typed, leftovers.TASK: "/a"}, stdout=subprocess.PIPE) as task,
    ):
        for process in (user, task):
            assert process.stdout
            process.stdout.readline()
        try:
            assert [found.pid for found in leftovers.commands(Path("/a"))] == [task.pid]
            assert leftovers.commands(Path("/b")) == []
        finally:
            user.kill()
            task.kill()


def test_supervisors_are_found_by_their_line_and_folder(tmp_path: Path) -> None:
    (tmp_path / "supervisord").write_text("import time\nprint('there', flush=True)\ntime.sleep(60)\n")
    line = [sys.executable, "supervisord", "-c", "ours.conf"]
    with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            assert [found.pid for found in leftovers.supervisors(tmp_path, "ours.conf")] == [process.pid]
            assert leftovers.supervisors(tmp_path, "theirs.conf") == []
            assert leftovers.supervisors(tmp_path.parent, "ours.conf") == []
            leftovers.kill(leftovers.supervisors(tmp_path, "ours.conf"))
            assert leftovers.supervisors(tmp_path, "ours.conf") == []
        finally:
            process.kill()
