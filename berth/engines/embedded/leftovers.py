"""Find and end processes of a checkout that nobody looks after any more, and who holds a port."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import psutil

MARK = "BERTH_PROCESS"
STOP_SIGNAL = "BERTH_STOP_SIGNAL"
LIMIT_S = 15
"""Seconds that they get to end by themselves."""


def find(state: Path) -> list[psutil.Process]:
    """Return the processes that services of this checkout consist of; see docker/embedded/enter.py."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK, "").startswith(f"{state}:"):
                found.append(process)
    return found


def find_commands(name: str, folder: Path) -> list[psutil.Process]:
    """Return the processes of a command that was typed in a folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(Path(word).name == name for word in process.cmdline()[:2]) and process.cwd() == str(folder):
                found.append(process)
    return found


def end(processes: Sequence[psutil.Process]) -> None:
    """End processes as their services are stopped, and kill what does not."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(int(process.environ().get(STOP_SIGNAL, signal.SIGTERM)))
    for process in psutil.wait_procs(processes, LIMIT_S)[1]:
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
