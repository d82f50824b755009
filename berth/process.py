"""Start processes: the only module of Berth that does.

A child gets our own stdin, stdout and stderr, so that terminals, pipes and binary data reach it untouched, and its exit
code is ours. Invoke's runners are not used: they read stdin a byte at a time and give a child no terminal
(pyinvoke/invoke#774, #1079).

What a signal does:

- On a terminal Ctrl-C and Ctrl-Z reach the child by themselves, as it is in our process group.
- A signal that is sent to us alone (`kill`, a CI that runs out of time) is passed on to the child and to all that it
  has started: nox, as most programs, would leave those running, and `docker` ignores what its Compose plugin should
  have (docker/cli#4402).
- `docker exec` hands no signal on to the command in the container, which lives on without it. Where a task gives the
  line that does (``relay``), that line runs first; the child then ends by itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from invoke import Context

from berth import terminal
from berth.errors import INTERRUPTED as INTERRUPTED
from berth.errors import Refused
from berth.redaction import redact
from berth.stdio import OURS, Opened, Stdio
from berth.terminal import is_terminal as is_terminal

if TYPE_CHECKING:
    import psutil

COMMAND_NOT_FOUND = 127
COMMAND_NOT_EXECUTABLE = 126
GRACE = 10.0
"""Seconds that a command has to end after a signal that ends us, as with `docker stop`."""

PAUSE = 0.5
"""Seconds after which `docker` is told again to end."""

TICK = 0.1
"""Seconds between two looks at a child that is to end."""

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
    grace: float = GRACE,
    stdio: Stdio = OURS,
) -> int:
    """Show the line of ``argv``, run it with our own stdio, or with ``stdio``, and return its exit code.

    :param env: variables to add to our own environment; they are part of the line that is shown.
    :param check: end the task with the child's exit code when it is not 0.
    :param relay: makes the line that hands a signal on to what ``argv`` started elsewhere.
    :param grace: seconds that the child has to end after a signal that ends us; then it is killed.
    :param stdio: what it reads and writes in place of our own stdin and stdout.
    :raises Refused: the child failed and ``check`` is true, or a program or a file cannot be opened.
    :raises SystemExit: a signal that ends us came while the child ran; it was passed on first.
    """
    print(f"+ {line(argv, cwd=cwd, env=env)}{stdio.redirections(cwd)}", file=sys.stderr, flush=True)
    if c.config.run.dry:
        return 0
    sys.stdout.flush()
    with terminal.kept(), stdio.opened() as opened:
        code = _Child(c, argv, cwd=cwd, env=env, relay=relay, grace=grace, stdio=opened).wait()
    if check and code != 0:
        raise Refused("", code=code)
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
    :raises Refused: the program cannot be started, and ``missing`` is false; or Ctrl-C was typed.
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
    except OSError as error:
        refused = _unable(argv, error)
        if missing and refused.code == COMMAND_NOT_FOUND:
            return subprocess.CompletedProcess(argv, COMMAND_NOT_FOUND, "", f"{argv[0]} is not installed")
        raise refused from error
    except KeyboardInterrupt:
        raise Refused("", code=INTERRUPTED) from None


class _Signals:
    """Note the signals that come, so that what follows from one, our own end if it is ``ending``, meets no other."""

    _NOTED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __enter__(self) -> _Signals:
        self.ending = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        # What nohup or a shell's `&` has us ignore stays ignored. SIGCHLD ends the waiting.
        noted = [signum for signum in self._NOTED if signal.getsignal(signum) != signal.SIG_IGN]
        self._before: dict[int, Any] = {signum: signal.signal(signum, _note) for signum in [*noted, signal.SIGCHLD]}
        return self

    def __exit__(self, *error: object) -> None:
        for signum, handler in self._before.items():
            if not (self.ending and signum == signal.SIGINT):
                signal.signal(signum, handler)
        signal.set_wakeup_fd(self._wakeup)
        self.late = self.wait(0)
        os.close(self._read)
        os.close(self._write)

    def wait(self, seconds: float | None) -> list[int]:
        """Return the numbers of the signals that came; none after ``seconds`` without any."""
        select.select([self._read], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            return [signum for signum in os.read(self._read, 1024) if signum in self._NOTED]
        return []


class _Child:
    """A child process, and what becomes of the signals that come while it runs."""

    def __init__(
        self,
        c: Context,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None,
        relay: Relay | None,
        grace: float,
        stdio: Opened,
    ) -> None:
        self._c = c
        self._stdio = stdio
        self._argv = argv
        self._cwd = cwd
        self._env = env
        self._relay = relay
        self._grace = grace
        self._family: dict[psutil.Process, None] = {}
        self._ending: int | None = None
        self._handed_on = False

    def wait(self) -> int:
        """Start the child, and return its exit code as a shell gives it.

        :raises SystemExit: a signal came that ends us.
        """
        with _Signals() as signals:
            try:
                source, target, environment = self._stdio.stdin, self._stdio.stdout, _environment(self._env)
                self._child = subprocess.Popen(self._argv, cwd=self._cwd, env=environment, stdin=source, stdout=target)
            except OSError as error:
                raise _unable(self._argv, error) from error
            while (code := self._child.poll()) is None or self._has_orphans():
                for signum in signals.wait(self._stdio.pause if self._ending is None else TICK):
                    self._take(signum)
                self._insist()
                self._stdio.look()
            signals.ending = self._ending is not None
        self._ending = self._ending or next((signum for signum in signals.late if signum != signal.SIGINT), None)
        if self._ending is None:
            return code if code >= 0 else 128 - code
        if not self._handed_on:
            # What the child started elsewhere may have begun only after the signal came.
            self._hand_on(self._ending)
        raise SystemExit(128 + self._ending)

    def _take(self, signum: int) -> None:
        if signum != signal.SIGINT and self._ending is None:
            self._ending = signum
            self._deadline = time.monotonic() + self._grace
            self._again = time.monotonic() + PAUSE
        # Ctrl-C reaches a child by itself, and a second one would make Compose kill.
        if not self._hand_on(signum) and not (signum == signal.SIGINT and terminal.interrupts()):
            self._send(signum)

    def _insist(self) -> None:
        """Repeat what ends us: `docker` loses it in its first moments, before there is a plugin; in the end, kill."""
        if self._ending is None:
            return
        if time.monotonic() >= self._deadline:
            self._deadline = float("inf")
            self._hand_on(signal.SIGKILL)
            self._send(signal.SIGKILL)
        elif self._argv[0] == "docker" and not self._handed_on and time.monotonic() >= self._again:
            self._again = time.monotonic() + PAUSE
            self._take(self._ending)

    def _hand_on(self, signum: int) -> bool:
        """Run the line of ``relay``, and tell whether there was something to signal."""
        if self._relay is None:
            return False
        argv = self._relay(signal.Signals(signum).name.removeprefix("SIG"))
        self._handed_on = capture(self._c, argv, cwd=self._cwd, env=self._env).returncode == 0
        return self._handed_on

    def _send(self, signum: int) -> None:
        """Signal the child and all that it has started, parents first."""
        import psutil  # not at every start of `inv`

        with contextlib.suppress(psutil.NoSuchProcess):
            child = psutil.Process(self._child.pid)
            # A dictionary keeps the order.
            self._family |= dict.fromkeys([child, *child.children(recursive=True)])
        for process in self._family:
            # Some of them end with others, and one that runs as another user is that one's parent's to end.
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.send_signal(signum)

    def _has_orphans(self) -> bool:
        """Tell whether something of a child that had to end still runs."""
        import psutil

        def runs(process: psutil.Process) -> bool:
            with contextlib.suppress(psutil.NoSuchProcess):
                return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
            return False

        return self._ending is not None and self._deadline != float("inf") and any(map(runs, self._family))


def _note(signum: int, frame: FrameType | None) -> None:
    """Let Python write the number to the pipe of `_Signals`."""


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**terminal.looks(), **os.environ, **(extra or {})}


def _unable(argv: Sequence[str], error: OSError) -> Refused:
    """Return why a program was not started."""
    program = argv[0]
    if error.filename is not None and error.filename != program:
        return Refused(f"{error.filename}: {error.strerror}")  # the folder
    if not isinstance(error, FileNotFoundError):
        return Refused(f"`{program}` cannot be run: {error.strerror}", code=COMMAND_NOT_EXECUTABLE)
    if program == "docker":
        return Refused(
            "docker is not installed: install Docker Engine or Docker Desktop with Compose, "
            "see https://docs.docker.com/engine/install/",
            code=COMMAND_NOT_FOUND,
        )
    return Refused(f"`{program}` is not installed, or not on PATH", code=COMMAND_NOT_FOUND)
