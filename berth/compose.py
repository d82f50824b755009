"""Write `docker compose` lines; nothing else in Berth does.

They run in the project's root, where Compose finds everything by itself: COMPOSE_FILE and COMPOSE_PROJECT_NAME stand in
`.env`. So each line is short, and can be typed there without Berth.
"""

from __future__ import annotations

from collections.abc import Sequence

Argv = list[str]

# Runs in the container: signals the session of the process that an `exec` started, and nothing else. The engine starts
# such a process from outside (parent 0) as the leader of a session. Of these it is the oldest one that began within 5
# seconds of our line, with the same words if there is one: a command that has become another program by now, as
# `sh -c "exec ..."`, has other words. Times are in hundredths of a second, the kernel's USER_HZ.
_SIGNAL = """
signal=$1 limit=$(($2 + 20)) words=$(shift 2; printf '%s\\n' "$@")
read -r now _ </proc/uptime
now=${now%.*}${now#*.} leader= best=-1
for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    pid=${line%% *}
    set -- ${line##*) }
    [ "$2" = 0 ] && [ "$4" = "$pid" ] && [ "$pid" != 1 ] && [ "$pid" != $$ ] || continue
    age=$((now - ${20}))
    [ "$age" -le "$limit" ] && [ "$age" -ge $((limit - 520)) ] || continue
    [ "$(tr '\\0' '\\n' 2>/dev/null </proc/"$pid"/cmdline)" = "$words" ] && age=$((age + 1000000))
    [ "$age" -gt "$best" ] && leader=$pid best=$age
done
[ -n "$leader" ] || exit 1
for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    pid=${line%% *}
    set -- ${line##*) }
    [ "$4" = "$leader" ] && kill -s "$signal" "$pid" 2>/dev/null
done
exit 0
"""


def compose(*arguments: str) -> Argv:
    return ["docker", "compose", *arguments]


def version() -> Argv:
    return compose("version", "--short")


def up(services: Sequence[str] = (), *, build: bool = False) -> Argv:
    return compose("up", "--detach", "--wait", *["--build"] * build, *services)


def build(services: Sequence[str] = (), *, no_cache: bool = False, pull: bool = False) -> Argv:
    return compose("build", *["--no-cache"] * no_cache, *["--pull"] * pull, *services)


def logs(services: Sequence[str] = (), *, follow: bool = False, tail: str | None = None) -> Argv:
    limit = [] if tail is None else ["--tail", tail]
    return compose("logs", *["--follow"] * follow, *limit, *services)


def ps(services: Sequence[str] = ()) -> Argv:
    return compose("ps", "--all", *services)


def ps_json() -> Argv:
    return compose("ps", "--all", "--format", "json")


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


def exec_(service: str, command: Sequence[str], *, terminal: bool, user: str | None = None) -> Argv:
    """``terminal`` must be false unless both stdin and stdout are one: Compose refuses otherwise (#13228 there)."""
    return compose("exec", *["-T"] * (not terminal), *_user(user), service, *command)


def signal_exec(service: str, command: Sequence[str], *, signal: str, seconds: float, user: str | None = None) -> Argv:
    """Send a signal to what an `exec` started, which docker itself leaves running (moby/moby#9098).

    Ends with 1 when it finds nothing to signal.

    :param command: what was run, by ``user``.
    :param signal: its name without `SIG`.
    :param seconds: how long ago the `exec` was typed.
    """
    hundredths = str(round(seconds * 100))
    return exec_(service, ["sh", "-c", _SIGNAL, "sh", signal, hundredths, *command], terminal=False, user=user)


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
