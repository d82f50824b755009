"""Write `docker compose` lines; nothing else in Berth does.

They run in the project's root, where Compose finds everything by itself: COMPOSE_FILE and COMPOSE_PROJECT_NAME stand in
`.env`. So each line is short, and can be typed there without Berth.
"""

from __future__ import annotations

from collections.abc import Sequence

Argv = list[str]

MARK = "BERTH_EXEC"
"""Variable by which what an `exec` started, and its children, are known."""

# Runs in the container.
_SIGNAL = """
signal=$1 found=1
for environ in /proc/[0-9]*/environ; do
    tr '\\0' '\\n' 2>/dev/null <"$environ" | grep -qxF "$2" || continue
    pid=${environ#/proc/}
    kill -s "$signal" "${pid%/environ}" 2>/dev/null && found=0
done
exit $found
"""


def compose(*arguments: str) -> Argv:
    return ["docker", "compose", *arguments]


def version() -> Argv:
    return compose("version", "--short")


def up(services: Sequence[str] = (), *, build: bool = False, wait: bool = True) -> Argv:
    return compose("up", "--detach", *["--wait"] * wait, *["--build"] * build, *services)


def build(services: Sequence[str] = (), *, no_cache: bool = False, pull: bool = False) -> Argv:
    return compose("build", *["--no-cache"] * no_cache, *["--pull"] * pull, *services)


def logs(services: Sequence[str] = (), *, follow: bool = False, tail: str | None = None) -> Argv:
    limit = [] if tail is None else ["--tail", tail]
    return compose("logs", *["--follow"] * follow, *limit, *services)


def ps(services: Sequence[str] = ()) -> Argv:
    return compose("ps", "--all", *services)


def ps_json() -> Argv:
    return compose("ps", "--all", "--format", "json")


def port(service: str, target: int) -> Argv:
    """Say where a port of a container is published."""
    return compose("port", service, str(target))


def config() -> Argv:
    return compose("config")


def config_json() -> Argv:
    return compose("config", "--format", "json")


def config_as_written() -> Argv:
    """The configuration with its `${VARIABLES}` left as they are."""
    return compose("config", "--no-interpolate", "--format", "json")


def stop(services: Sequence[str] = ()) -> Argv:
    return compose("stop", *services)


def restart(services: Sequence[str] = ()) -> Argv:
    return compose("restart", *services)


def down(*, volumes: bool = False) -> Argv:
    return compose("down", "--remove-orphans", *["--volumes"] * volumes)


def exec_(
    service: str, command: Sequence[str], *, terminal: bool, user: str | None = None, mark: str | None = None
) -> Argv:
    """
    :param terminal: must be false unless both stdin and stdout are one: Compose refuses otherwise (#13228 there).
    :param mark: the value by which `signal_exec` finds what this starts.
    """
    marked = ["--env", f"{MARK}={mark}"] if mark else []
    return compose("exec", *["-T"] * (not terminal), *marked, *_user(user), service, *command)


def signal_exec(service: str, *, mark: str, signal: str, user: str | None = None) -> Argv:
    """Send a signal to what an `exec` started, which docker itself leaves running (moby/moby#9098).

    Ends with 1 when it finds nothing to signal. It needs `sh`, `tr` and `grep` in the image.

    :param mark: that of the `exec`.
    :param signal: its name without `SIG`.
    :param user: whom the `exec` ran as.
    """
    return exec_(service, ["sh", "-c", _SIGNAL, "sh", signal, f"{MARK}={mark}"], terminal=False, user=user)


def run(
    service: str,
    command: Sequence[str],
    *,
    terminal: bool,
    user: str | None = None,
    volumes: Sequence[str] = (),
    dependencies: bool = True,
) -> Argv:
    """A one-off container, removed at its end."""
    mounts = [word for volume in volumes for word in ("--volume", volume)]
    alone = ["--no-deps"] * (not dependencies)
    return compose("run", "--rm", *["-T"] * (not terminal), *alone, *_user(user), *mounts, service, *command)


def _user(user: str | None) -> Argv:
    return [] if user is None else ["--user", user]
