"""Be a process of a service that runs without a container: its environment, folder, user, and nothing else of ours.

usage: enter [--user USER] [--process NAME] SERVICE COMMAND...    runs COMMAND, as `docker compose exec` does
       enter SERVICE                                          becomes the service; the supervisor calls this

Called by the command `enter` in .berth/embedded/bin, which puts the folder .berth/embedded in front. What a service is
stands in services/SERVICE.json there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MARK = "BERTH_PROCESS"
"""Variable by which a process is known to be ours, even when whoever started it has been killed."""
LIMIT_S = 10
"""How long what is left of a process gets to end."""


def environment(state: Path, service: dict[str, Any], process: str) -> dict[str, str]:
    """Return the environment of a process: as in a container, nothing of the caller's but the terminal's kind."""
    run = state / "run" / process
    kept = {name: os.environ[name] for name in ("TERM", "COLORTERM") if name in os.environ}
    return {
        **kept,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HOME": str(run),
        "WORKER_HEARTBEAT_FILE": str(run / "heartbeat"),
        **service["environment"],
    }


def become(service: dict[str, Any], command: list[str], variables: dict[str, str], *, user: str | None = None) -> None:
    """Replace this process by ``command``, without the rights of root where the service has a user of its own.

    :param user: whom to be instead, by name or as `UID:GID`.
    """
    os.chdir(service["folder"])
    ids = ids_of(user) if user else service["user"]
    if ids and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(ids[1])
        os.setuid(ids[0])
    # What Python ignores, its successor would ignore, too.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.environ["PATH"] = variables["PATH"]
    try:
        os.execvpe(command[0], command, variables)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


def ids_of(user: str) -> tuple[int, int]:
    """Return the ids of a user, and of its group."""
    name, _, group = user.partition(":")
    try:
        found = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        if name.isdecimal() and group.isdecimal():
            return int(name), int(group)
        sys.exit(f"enter: no user `{user}` on this machine")
    return found.pw_uid, int(group) if group.isdecimal() else found.pw_gid


def end_predecessors(mark: str) -> None:
    """End what is left of this very process, after it or the supervisor has been killed."""
    import psutil

    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                process.send_signal(int(process.environ().get("BERTH_STOP_SIGNAL", signal.SIGTERM)))
                left.append(process)
    for process in psutil.wait_procs(left, LIMIT_S)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, LIMIT_S)


def wait(state: Path, service: dict[str, Any]) -> None:
    """Wait for what the service depends on, as long as it takes, and as there is a supervisor."""
    supervisor = os.getppid()

    def pause(seconds: float) -> None:
        if os.getppid() != supervisor:
            sys.exit("enter: the supervisor was killed")
        time.sleep(seconds)

    for name, condition in service["waits"].items():
        if condition == "service_completed_successfully":
            while not (state / "run" / f"{name}.done").exists():
                pause(0.05)
        elif condition == "service_healthy":
            check = read(state, name)["health"]
            while (
                check
                and subprocess.run(
                    [sys.executable, "-I", __file__, str(state), name, *check], capture_output=True, check=False
                ).returncode
            ):
                pause(0.1)


def read(state: Path, name: str) -> dict[str, Any]:
    try:
        service: dict[str, Any] = json.loads((state / "services" / f"{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        sys.exit(f"enter: no service `{name}`: type `inv up`")
    return service


def serve(state: Path, name: str) -> None:
    """Become the service's own command, once it may start."""
    service = read(state, name)
    process = os.environ.get("SUPERVISOR_PROCESS_NAME", name)
    mark = f"{state}:{process}"
    end_predecessors(mark)
    wait(state, service)
    variables = environment(state, service, process)
    variables |= {MARK: mark, "BERTH_STOP_SIGNAL": str(service["stop_signal"])}
    if not service["once"]:
        become(service, service["command"], variables)
    child = os.fork()
    if not child:
        become(service, service["command"], variables)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        (state / "run" / f"{name}.done").touch()
    sys.exit(code if code >= 0 else 128 - code)


def main() -> None:
    parser = argparse.ArgumentParser(prog="enter", allow_abbrev=False)
    parser.add_argument("state", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--user", help="whom to be, by name or as UID:GID, if root asks")
    parser.add_argument("--process", help="the process of several whose temporary files to use")
    parser.add_argument("service")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        serve(options.state, options.service)
    service = read(options.state, options.service)
    variables = environment(options.state, service, options.process or service["processes"][0])
    become(service, options.command, variables, user=options.user)


if __name__ == "__main__":
    main()
