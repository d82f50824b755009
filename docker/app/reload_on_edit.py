#!/opt/venv/bin/python
"""Run a command, and again after each edit of the Python code below the working directory, and after it has failed.

usage: reload-on-edit GRACE COMMAND...

GRACE: seconds that the command gets to end after SIGTERM, before it and its children are killed.

A command that ends by itself, as a worker does when it loses its broker at the wrong moment, or code is wrong, is
started again within AGAIN_S.

The command line of watchfiles stops its child with SIGINT, on which Celery waits for running tasks without a
bound until it is killed; their messages then stay hidden for the whole visibility timeout. SIGTERM is what a
worker is stopped with everywhere else.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

from watchfiles import PythonFilter, watch

AGAIN_S = 5


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start *command* in a process group of its own, for stop() to reach its children."""
    return subprocess.Popen(command, start_new_session=True)


def stop(process: subprocess.Popen[bytes], grace: float) -> int:
    """End *process* within *grace* seconds; return its exit code."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        return process.wait(grace)
    print(f"reload-on-edit: not ended within {grace:g} s of SIGTERM, killing it", file=sys.stderr)
    os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def main(grace: float, command: list[str]) -> int:
    """Run *command* until a SIGTERM or SIGINT comes; return its exit code, 128 + N when signal N ended it."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    process = start(command)
    edits = watch(
        ".", watch_filter=PythonFilter(), stop_event=stopped, rust_timeout=AGAIN_S * 1000, yield_on_timeout=True
    )
    for changes in edits:
        if changes:
            print("Code has changed, restarting..", flush=True)
        elif (code := process.poll()) is not None:
            print(f"The command has ended with {code}, starting it again..", flush=True)
        else:
            continue
        stop(process, grace)
        process = start(command)
    code = stop(process, grace)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
