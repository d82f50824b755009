"""Start, watch and stop the services."""

from __future__ import annotations

from invoke import Context, task

from berth import engines, process, project
from berth.arguments import CommandTask, NamesTask, Task
from berth.errors import Refused

NAMES = {"name": "A service; type any number of them behind the task: `inv logs app db`."}
# Containers keep them, and so does the broker that runs without any, but for its replacement.
YES = {"yes": "Throw away messages that a broker keeps in memory only; any other keeps them anyway."}
COMMAND = {"command": "A service, then the command to run in it, as you would type it there: `inv exec app ls -la`."}


@task(
    klass=NamesTask,
    iterable=["name"],
    help={
        **NAMES,
        "build": "Build the images first.",
        "attach": "Stay with the services: show what they print, and stop them on Ctrl-C.",
    },
)
def up(c: Context, name: list[str], build: bool = False, attach: bool = False) -> None:
    """Start the services and wait until they are healthy."""
    engine = engines.choose(c, create=True)
    engine.up(name, build=build)
    if c.config.run.dry:
        return
    from berth.compose import ps  # not at every start of `inv`

    print(ps.table(engine.stack(), engine.containers()))
    if attach:
        try:
            engine.logs(name, follow=True)
        finally:
            engine.leave(name)


@task(
    klass=NamesTask,
    iterable=["name"],
    help={
        **NAMES,
        "prod": "Build the image that is shipped instead of the one for development.",
        "no_cache": "Build every layer anew.",
        "pull": "Pull newer base images first.",
    },
)
def build(c: Context, name: list[str], prod: bool = False, no_cache: bool = False, pull: bool = False) -> None:
    """Build the images."""
    if not prod:
        engines.choose(c, create=True).build(name, no_cache=no_cache, pull=pull)
        return
    from berth.compose import release

    docker = engines.docker_engine(c)
    asked = (process.capture(c, line, cwd=docker.here.root) for line in (release.revision(), release.changes()))
    revision = release.name(*(answer.stdout for answer in asked))
    engine = docker.under(release.variables(revision))
    engine.build(name, no_cache=no_cache, pull=pull)
    if revision:
        engine.tag(engine.stack().with_role("app"), revision)


@task(
    klass=NamesTask,
    iterable=["name"],
    help={**NAMES, "follow": "Go on showing new lines, until Ctrl-C.", "tail": "How many lines of each service."},
)
def logs(c: Context, name: list[str], follow: bool = False, tail: str | None = None) -> None:
    """Show what the services print."""
    engines.choose(c).logs(name, follow=follow, tail=tail)


@task(klass=NamesTask, iterable=["name"], help=NAMES)
def ps(c: Context, name: list[str]) -> None:
    """List the services, with their health and ports."""
    engines.choose(c).ps(name)


@task(klass=Task)
def config(c: Context) -> None:
    """Show the configuration as Compose resolves it, with the values of .env."""
    engines.choose(c, create=True, idle=True).config()


@task(
    klass=CommandTask,
    name="exec",
    iterable=["command"],
    help={**COMMAND, "user": "The user to run it as, by name or number: `inv exec --user root app id`."},
    auto_shortflags=False,
)
def exec_(c: Context, command: list[str], user: str | None = None) -> None:
    """Run a command in a running service: `inv exec SERVICE COMMAND ...`."""
    _exec(c, command, task_name="exec", user=user)


@task(klass=CommandTask, iterable=["command"], help=COMMAND, auto_shortflags=False)
def exec_as_host(c: Context, command: list[str]) -> None:
    """Run a command in a running service as you: files that it writes belong to you."""
    _exec(c, command, task_name="exec-as-host", user=project.caller())


@task(klass=NamesTask, iterable=["name"], help={"name": "The service; without one, that of the Django project."})
def shell(c: Context, name: list[str]) -> None:
    """Open a shell in a running service: `inv shell [SERVICE]`."""
    if len(name) > 1:
        raise Refused(
            f"`shell` takes one service, not {len(name)}: type `{project.current(c).command()} shell {name[0]}`"
        )
    engine = engines.choose(c)
    service = name[0] if name else engine.stack().with_role("app")
    # sh where the image holds no bash.
    engine.exec(service, ["sh", "-c", "exec $(command -v bash || command -v sh)"])


@task(klass=NamesTask, iterable=["name"], help={**NAMES, **YES})
def stop(c: Context, name: list[str], yes: bool = False) -> None:
    """Stop the services; their data stays."""
    engines.choose(c).stop(name, yes=yes)


@task(klass=NamesTask, iterable=["name"], help={**NAMES, **YES})
def restart(c: Context, name: list[str], yes: bool = False) -> None:
    """Restart the services."""
    engines.choose(c).restart(name, yes=yes)


@task(klass=Task, help=YES)
def down(c: Context, yes: bool = False) -> None:
    """Stop the services and remove all but their data."""
    engines.choose(c).down(yes=yes)


def _exec(c: Context, command: list[str], *, task_name: str, user: str | None) -> None:
    if len(command) < 2:
        example = f"`{project.current(c).command()} {task_name} SERVICE COMMAND ...`"
        raise Refused(f"`{task_name}` needs a service and a command: type {example}")
    service, *words = command
    if words[0] == "--":
        words = words[1:]
    engines.choose(c).exec(service, words, user=user)
