"""Start processes: the only module of Berth that does.

A child gets our own stdin, stdout and stderr, so that terminals, pipes and binary data reach it untouched, and its exit
code is ours. Invoke's runners are not used: they read stdin a byte at a time and give a child no terminal
(pyinvoke/invoke#774, #1079).

What a signal does:

- On a terminal Ctrl-C and Ctrl-Z reach the child by themselves, as it is in our process group.
- A signal that is sent to us alone (`kill`, a CI that runs out of time) is passed on to the child.
- `docker exec` hands no signal on to the command in the container, which lives on without it. Where a task gives the
  line that does (``relay``), that line runs first; the child then ends by itself.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from invoke import Context, Exit

from berth.redaction import redact

COMMAND_NOT_FOUND = 127
INTERRUPTED = 130
GRACE = 10.0
"""Seconds that a command has to end after a signal that ends us, as with `docker stop`."""

LOCAL_MODES = 3
"""Where `termios.tcgetattr` has them."""

Relay = Callable[[str], Sequence[str]]
"""Makes the line that hands a signal on, from its name without `SIG`."""

_secrets: set[str] = set()


def hide(secrets: Iterable[str]) -> None:
    """Show `***` for these values in every line from now on."""
    _secrets.update(secrets)


def line(argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Return the shell line that does what running ``argv`` does, to be typed where the caller stands; no secrets."""
    assigned = redact([f"{name}={value}" for name, value in (env or {}).items()], _secrets)
    words = [f"{name}={shlex.quote(value)}" for name, _, value in (word.partition("=") for word in assigned)]
    command = " ".join([*words, shlex.join(redact(argv, _secrets))])
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
    relay: Relay | None = None,
) -> int:
    """Show the line of ``argv``, run it with our own stdio and return its exit code.

    :param env: variables to add to our own environment; they are part of the line that is shown.
    :param check: end the task with the child's exit code when it is not 0.
    :param relay: makes the line that hands a signal on to what ``argv`` started elsewhere.
    :raises Exit: the child failed and ``check`` is true, or the program does not exist.
    :raises SystemExit: a signal that ends us came while the child ran; it was passed on first.
    """
    print(f"+ {line(argv, cwd=cwd, env=env)}", file=sys.stderr, flush=True)
    if c.config.run.dry:
        return 0
    sys.stdout.flush()
    with _terminal_kept():
        code = _Child(c, argv, cwd=cwd, env=env, relay=relay).wait()
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
    :raises Exit: the program does not exist, and ``missing`` is false; or Ctrl-C was typed.
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
    except KeyboardInterrupt:
        raise Exit(code=INTERRUPTED) from None


def is_terminal() -> bool:
    """Tell whether a person types and reads here: docker allocates a terminal only when both ends are one."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("CI", "").lower() in {"", "0", "false"}


class _Child:
    """A child process, and what becomes of the signals that come while it runs."""

    def __init__(
        self, c: Context, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None, relay: Relay | None
    ) -> None:
        self._c = c
        self._argv = argv
        self._cwd = cwd
        self._env = env
        self._relay = relay
        self._child: subprocess.Popen[bytes] | None = None
        self._ending: int | None = None
        self._handed_on = False
        self._early: int | None = None

    def wait(self) -> int:
        """Start the child, and return its exit code as a shell gives it.

        :raises SystemExit: a signal came that ends us.
        """
        # In place before the child starts; an exec resets them in the child.
        handlers = {
            signal.SIGINT: self._interrupt,
            signal.SIGTERM: self._terminate,
            signal.SIGHUP: self._terminate,
            signal.SIGALRM: self._kill,
        }
        previous: dict[int, Any] = {
            signum: signal.signal(signum, handler)
            for signum, handler in handlers.items()
            # What nohup or a shell's `&` has us ignore stays ignored.
            if signal.getsignal(signum) != signal.SIG_IGN
        }
        try:
            try:
                self._child = subprocess.Popen(self._argv, cwd=self._cwd, env=_environment(self._env))
            except FileNotFoundError:
                raise _not_found(self._argv) from None
            if self._early is not None:
                self._send(self._early)
            # While the child works: at our exit the collector would go through all that was imported, for 15 ms.
            gc.freeze()
            code = self._child.wait()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for signum, handler in previous.items():
                signal.signal(signum, handler)
        if self._ending is not None:
            if not self._handed_on:
                # What it started may have begun only after the signal came.
                self._hand_on(self._ending)
            raise SystemExit(128 + self._ending)
        return code if code >= 0 else 128 - code

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        # Ctrl-C reaches a child by itself, and a second one would make Compose kill.
        if self._child is None:
            self._early = signum
        elif not self._hand_on(signum) and not _is_typed():
            self._send(signum)

    def _terminate(self, signum: int, frame: FrameType | None) -> None:
        again = self._ending is not None
        self._ending = self._ending or signum
        if again or not self._hand_on(signum):
            self._send(signum)
        else:
            signal.setitimer(signal.ITIMER_REAL, GRACE)

    def _kill(self, signum: int, frame: FrameType | None) -> None:
        self._hand_on(signal.SIGKILL)
        self._send(signal.SIGTERM)

    def _hand_on(self, signum: int) -> bool:
        """Run the line of ``relay``, and tell whether there was something to signal."""
        if self._relay is None or self._child is None:
            return False
        argv = self._relay(signal.Signals(signum).name.removeprefix("SIG"))
        self._handed_on = capture(self._c, argv, cwd=self._cwd, env=self._env).returncode == 0
        return self._handed_on

    def _send(self, signum: int) -> None:
        """Signal the innermost processes: on a terminal `docker` does not hand SIGTERM on to its Compose plugin."""
        import psutil  # not at every start of `inv`

        if self._child is None:
            self._early = signum
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [psutil.Process(self._child.pid), *psutil.Process(self._child.pid).children(recursive=True)]
            parents = {process.ppid() for process in family}
            for process in family:
                if process.pid not in parents:
                    process.send_signal(signum)


@contextlib.contextmanager
def _terminal_kept() -> Iterator[None]:
    """Leave the terminal as it was: a child that is killed while it reads single keys leaves them unseen."""
    try:
        before = termios.tcgetattr(sys.stdin.fileno())
    except (termios.error, OSError, ValueError):
        yield  # no terminal
        return
    try:
        yield
    finally:
        # From the background it would stop us.
        if _in_foreground():
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, before)


def _is_typed() -> bool:
    """Tell whether a SIGINT may come from the keyboard: where a child reads single keys, Ctrl-C is one of them."""
    return _in_foreground() and bool(termios.tcgetattr(sys.stdin.fileno())[LOCAL_MODES] & termios.ISIG)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**_looks(), **os.environ, **(extra or {})}


def _looks() -> dict[str, str]:
    """Return what makes Compose, BuildKit and others print plain text where no person reads; all else stays theirs."""
    dumb = os.environ.get("TERM") == "dumb"
    if is_terminal() and not dumb:
        return {}
    colours = {} if "FORCE_COLOR" in os.environ else {"NO_COLOR": "1", "COMPOSE_ANSI": "never"}
    return {"COMPOSE_PROGRESS": "plain", "BUILDKIT_PROGRESS": "plain", **colours}


def _not_found(argv: Sequence[str]) -> Exit:
    if argv[0] == "docker":
        return Exit(
            "docker is not installed: install Docker Engine or Docker Desktop with Compose, "
            "see https://docs.docker.com/engine/install/",
            code=COMMAND_NOT_FOUND,
        )
    return Exit(f"`{argv[0]}` is not installed, or not on PATH", code=COMMAND_NOT_FOUND)
