"""Write the lines that are run without containers, each as one types it in the checkout's root."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from berth.engines.embedded.programs import Program
from berth.engines.embedded.state import State

Argv = list[str]

SCRIPTS = Path(__file__).parent / "scripts"
"""They come with the package, which need not keep their x bits."""
LOCKS = Path(__file__).parent / "locks"


def compose(state: State, *words: str) -> Argv:
    """Compose itself, from a wheel: it resolves files without an engine."""
    return [state.short(state.tools / "bin" / "docker-compose"), *words]


def start_supervisor(state: State) -> Argv:
    return _supervisor(state, "supervisord")


def control(state: State, *words: str) -> Argv:
    return [*_supervisor(state, "supervisorctl"), *words]


def _supervisor(state: State, command: str) -> Argv:
    return [state.short(state.tools / "bin" / command), "-c", state.short(state.supervisor)]


def enter(
    state: State, service: str, command: Sequence[str], *, user: str | None = None, process: str | None = None
) -> Argv:
    """
    :param process: the one of several whose temporary files to use.
    """
    options = [*(["--user", user] if user else []), *(["--process", process] if process else [])]
    return [state.short(state.bin / "enter"), *options, service, *command]


def tail(state: State, programs: Sequence[Program], *, follow: bool, lines: str | None) -> Argv:
    """Show the logs that there are; the line is empty where there is none."""
    paths = [state.logs / f"{name}.log" for program in programs for name in program.processes]
    found = [state.short(path) for path in paths if path.exists()]
    return ["tail", "-n", lines or "+1", *["-F"] * follow, *found] if found else []


def make_venv(state: State, folder: Path, *, clear: bool) -> Argv:
    """
    :param clear: throw away what there is.
    """
    return _uv("venv", "--quiet", *["--clear"] * clear, "--python", sys.executable, state.short(folder))


def sync(state: State, folder: Path, lock: Path, *, dry: bool = False, quiet: bool = True) -> Argv:
    """Make a virtualenv hold the packages of ``lock`` and no others: what cannot be had changes nothing in it.

    :param dry: only find out whether they can be had.
    """
    options = [*["--dry-run"] * dry, *["--quiet"] * quiet, "--require-hashes", "--only-binary", ":all:"]
    return _uv("pip", "sync", *options, "--python", state.short(folder), state.short(lock))


def install_servers(state: State, script: Path) -> Argv:
    """Run one of scripts/install-ROLE.sh."""
    python = state.short(state.tools / "bin" / "python")
    return ["bash", state.short(script), python, state.short(state.servers), sys.executable]


def _uv(*words: str) -> Argv:
    return [sys.executable, "-m", "uv", *words]
