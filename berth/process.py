"""Start processes: the only module of Berth that does.

A child gets our own stdin, stdout and stderr, so that terminals, pipes and binary data reach it untouched, and its exit
code is ours. Invoke's runners are not used: they read stdin a byte at a time and give a child no terminal
(pyinvoke/invoke#774, #1079).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from invoke import Context, Exit

COMMAND_NOT_FOUND = 127
INTERRUPTED = 130


def line(argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Return the shell line that does what running ``argv`` does, to be typed where the caller stands."""
    words = [f"{name}={shlex.quote(value)}" for name, value in (env or {}).items()]
    command = " ".join([*words, shlex.join(argv)])
    if cwd is None or cwd.resolve() == Path.cwd():
        return command
    return f"(cd {shlex.quote(str(cwd))} && {command})"


def run(
    c: Context,
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> int:
    """Show the line of ``argv``, run it with our own stdio and return its exit code.

    :param env: variables to add to our own environment; they are part of the line that is shown.
    :param check: end the task with the child's exit code when it is not 0.
    :raises Exit: the child failed and ``check`` is true, or the program does not exist.
    :raises SystemExit: a signal that ends us came while the child ran; it was passed on first.
    """
    print(f"+ {line(argv, cwd=cwd, env=env)}", file=sys.stderr, flush=True)
    if c.config.run.dry:
        return 0
    code = _wait(argv, cwd=cwd, env=env)
    if check and code != 0:
        raise Exit(code=code)
    return code


def capture(
    c: Context,
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    missing: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` to read its output; its line is shown only with ``--echo``. Reads happen in a dry run, too.

    :param missing: take a program that does not exist for one that failed.
    :raises Exit: the program does not exist, and ``missing`` is false.
    """
    if c.config.run.echo:
        print(f"+ {line(argv, cwd=cwd, env=env)}", file=sys.stderr, flush=True)
    try:
        return subprocess.run(
            argv,
            cwd=cwd,
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        if missing:
            return subprocess.CompletedProcess(argv, COMMAND_NOT_FOUND, "", f"{argv[0]} is not installed")
        raise _not_found(argv) from None


def is_terminal() -> bool:
    """Tell whether a person types and reads here: docker allocates a terminal only when both ends are one."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _wait(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None) -> int:
    sys.stdout.flush()
    with _signals_passed_on() as children:
        try:
            child = subprocess.Popen(argv, cwd=cwd, env=_environment(env))
        except FileNotFoundError:
            raise _not_found(argv) from None
        children.append(child)
        code = child.wait()
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _signals_passed_on() -> Iterator[list[subprocess.Popen[bytes]]]:
    """While the body runs, pass signals that end us on to its children; then end as they ask for.

    The handlers are in place before the child starts; an exec resets them in the child.
    """
    children: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def interrupt(signum: int, frame: FrameType | None) -> None:
        # On a terminal Ctrl-C reaches the child by itself, and a second one would make Compose kill.
        if not _in_foreground():
            _send(children, signum)

    def terminate(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        _send(children, signum)

    handlers = {signal.SIGINT: interrupt, signal.SIGTERM: terminate, signal.SIGHUP: terminate}
    previous: dict[int, Any] = {signum: signal.signal(signum, handler) for signum, handler in handlers.items()}
    try:
        yield children
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    if received:
        raise SystemExit(128 + received[0])


def _send(children: list[subprocess.Popen[bytes]], signum: int) -> None:
    """Signal the innermost processes: on a terminal `docker` does not hand SIGTERM on to its Compose plugin."""
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
            parents = {process.ppid() for process in family}
            for process in family:
                if process.pid not in parents:
                    process.send_signal(signum)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, **(extra or {})}


def _not_found(argv: Sequence[str]) -> Exit:
    if argv[0] == "docker":
        return Exit(
            "docker is not installed: install Docker Engine or Docker Desktop with Compose, "
            "see https://docs.docker.com/engine/install/",
            code=COMMAND_NOT_FOUND,
        )
    return Exit(f"`{argv[0]}` is not installed, or not on PATH", code=COMMAND_NOT_FOUND)
