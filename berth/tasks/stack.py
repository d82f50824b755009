"""Start, watch and stop the services."""

from __future__ import annotations

from invoke import Context, Exit, task

from berth import engines, project
from berth.arguments import CommandTask, NamesTask

NAMES = {"name": "A service; type any number of them behind the task: `inv logs app db`."}
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
    engines.of(c, create=True).up(c, name, build=build, attach=attach)


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
    engines.of(c, create=True).build(c, name, prod=prod, no_cache=no_cache, pull=pull)


@task(
    klass=NamesTask,
    iterable=["name"],
    help={**NAMES, "follow": "Go on showing new lines, until Ctrl-C.", "tail": "How many lines of each service."},
)
def logs(c: Context, name: list[str], follow: bool = False, tail: str | None = None) -> None:
    """Show what the services print."""
    engines.of(c).logs(c, name, follow=follow, tail=tail)


@task(klass=NamesTask, iterable=["name"], help=NAMES)
def ps(c: Context, name: list[str]) -> None:
    """List the services, with their health and ports."""
    engines.of(c).ps(c, name)


@task
def config(c: Context) -> None:
    """Show the configuration as Compose resolves it, with the values of .env."""
    engines.of(c, create=True).config(c)


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
        raise Exit(f"`shell` takes one service, not {len(name)}: type `{project.of(c).command()} shell {name[0]}`")
    engines.of(c).shell(c, name[0] if name else None)


@task(klass=NamesTask, iterable=["name"], help=NAMES)
def stop(c: Context, name: list[str]) -> None:
    """Stop the services; their data stays."""
    engines.of(c).stop(c, name)


@task(klass=NamesTask, iterable=["name"], help=NAMES)
def restart(c: Context, name: list[str]) -> None:
    """Restart the services."""
    engines.of(c).restart(c, name)


@task
def down(c: Context) -> None:
    """Stop the services and remove all but their data."""
    engines.of(c).down(c)


def _exec(c: Context, command: list[str], *, task_name: str, user: str | None) -> None:
    if len(command) < 2:
        example = f"`{project.of(c).command()} {task_name} SERVICE COMMAND ...`"
        raise Exit(f"`{task_name}` needs a service and a command: type {example}")
    service, *words = command
    if words[0] == "--":
        words = words[1:]
    engines.of(c).exec_(c, service, words, user=user)
