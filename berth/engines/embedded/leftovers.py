"""Find and end processes of a checkout that nobody looks after any more: by what they were started as, not by files."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

MARK = "BERTH_PROCESS"
"""Variable of each process of a service: `FOLDER:PROCESS`, with the folder of the state."""
STOP_SIGNAL = "BERTH_STOP_SIGNAL"
TASK = "BERTH_TASK"
"""Variable of what a task starts besides services: the folder of the state."""
LIMIT_S = 15
"""Seconds that they get to end by themselves."""

Found = Sequence[psutil.Process]


def find(folder: Path) -> Found:
    """Return the processes that services of this checkout consist of; see scripts/enter.py.

    :param folder: that of the state.
    """
    return _processes(lambda one: one.environ().get(MARK, "").startswith(f"{folder}:"))


def supervisors(root: Path, configuration: str) -> Found:
    """Return the supervisors of this checkout, also when their files are gone.

    :param configuration: their configuration, as a task names it.
    """
    return _processes(lambda one: _runs(one, "supervisord", configuration) and one.cwd() == str(root.resolve()))


def commands(folder: Path) -> Found:
    """Return the commands to a supervisor that tasks have started; those that a user typed are left alone."""
    return _processes(lambda one: one.environ().get(TASK) == str(folder) and _runs(one, "supervisorctl"))


def _processes(are_meant: Callable[[psutil.Process], bool]) -> Found:
    found = []
    for process in psutil.process_iter():
        # One may end while it is looked at, and into those of other users nobody may look.
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and are_meant(process):
                found.append(process)
    return found


def _runs(process: psutil.Process, name: str, *words: str) -> bool:
    """Tell whether a process is a command of that name, run by its interpreter or not, with ``words`` behind it."""
    line = process.cmdline()
    return any(Path(word).name == name for word in line[:2]) and all(word in line for word in words)


def end(processes: Found) -> None:
    """End processes as their services are stopped, and kill what does not."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(int(process.environ().get(STOP_SIGNAL, signal.SIGTERM)))
    for process in psutil.wait_procs(processes, LIMIT_S)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, LIMIT_S)


def kill(processes: Found) -> None:
    """Kill processes at once: a supervisor would start again what is ended."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, LIMIT_S)


def wait_for_end(pid: int, seconds: float) -> bool:
    """Tell whether a process has ended within ``seconds``."""
    try:
        psutil.Process(pid).wait(seconds)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def named(processes: Found) -> str:
    """Return the names and ids of processes, for a message."""
    names = []
    for one in processes:
        with contextlib.suppress(psutil.Error):
            names.append(f"{one.name()} ({one.pid})")
    return ", ".join(names)
