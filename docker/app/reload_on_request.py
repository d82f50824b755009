#!/opt/venv/bin/python -I
"""Be the parent of Django's development server: start it, and again each time it asks for it after an edit.

usage: reload-on-request COMMAND...

In the place of the parent that `manage.py runserver` is by itself, which loads the whole project only to
start a child that loads it again: the server is up sooner, and one copy of the project less is in memory.
The contract is that of django.utils.autoreload: the child has RUN_MAIN=true in its environment, watches the
files, and exits with 3 after an edit.

A child that exits with 3 within a MOMENT_S of its start has not watched anything: it is code that ends with 3 by
itself. It is started again all the same, for an edit will mend it, but after a pause.
"""

import os
import signal
import subprocess
import sys
import time

RELOAD = 3
MOMENT_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0


class Reloader:
    """Runs *command* until it ends for good, or SIGTERM or SIGINT comes."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.child: subprocess.Popen[bytes] | None = None
        self.stopped = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)

    def stop(self, number: int, _: object) -> None:
        """Pass a signal on to the child."""
        self.stopped = number
        if self.child:
            self.child.send_signal(number)

    def run(self) -> int:
        """Return the exit code of the last child, 128 + N when signal N ended it, or this in a pause."""
        pause = FIRST_PAUSE_S
        while True:
            started = time.monotonic()
            code = self.run_once()
            if code != RELOAD or self.stopped:
                return code if code >= 0 else 128 - code
            if time.monotonic() - started > MOMENT_S:
                pause = FIRST_PAUSE_S
                continue
            print(f"The server has ended with {code} at its start, starting it again in {pause:g} s..", flush=True)
            self.sleep(pause)
            if self.stopped:
                return 128 + self.stopped
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def run_once(self) -> int:
        """Run the command, and return its exit code."""
        self.child = subprocess.Popen(self.command, env={**os.environ, "RUN_MAIN": "true"})
        if self.stopped:  # while it was started
            self.child.terminate()
        return self.child.wait()

    def sleep(self, seconds: float) -> None:
        """Return after *seconds*, or soon after a signal, which alone would not end a sleep (PEP 475)."""
        until = time.monotonic() + seconds
        while not self.stopped and time.monotonic() < until:
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(Reloader(sys.argv[1:]).run())
