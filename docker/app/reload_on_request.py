#!/opt/venv/bin/python -I
"""Be the parent of Django's development server: start it, and again each time it asks for it after an edit.

usage: reload-on-request COMMAND...

In the place of the parent that `manage.py runserver` is by itself, which loads the whole project only to
start a child that loads it again: the server is up sooner, and one copy of the project less is in memory.
The contract is that of django.utils.autoreload: the child has RUN_MAIN=true in its environment, watches the
files, and exits with 3 after an edit.
"""

import os
import signal
import subprocess
import sys

RELOAD = 3


def main(command: list[str]) -> int:
    """Run *command* until it ends for good, or SIGTERM comes; return its exit code, 128 + N when signal N ended it."""
    stopped = False
    child: subprocess.Popen[bytes] | None = None

    def stop(number: int, _: object) -> None:
        nonlocal stopped
        stopped = True
        if child:
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    code = RELOAD
    while code == RELOAD and not stopped:
        child = subprocess.Popen(command, env={**os.environ, "RUN_MAIN": "true"})
        if stopped:  # while it was started
            child.terminate()
        code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
