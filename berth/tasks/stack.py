"""Start, watch and stop the services."""

from __future__ import annotations

from invoke import Context, Exit, task

from berth import compose, process, project, services
from berth.arguments import CommandTask, NamesTask
from berth.tasks import ready
from berth.tasks.failure import failure

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
    ready.tools(c)
    here = ready.environment(c, create=True)
    stack = ready.stack(c, name)
    code = process.run(c, compose.up(name, build=build), cwd=here.root, check=False)
    if c.config.run.dry:
        return
    if code != 0:
        raise failure(c, stack, code)
    print(services.table(stack, ready.containers(c)))
    if attach:
        try:
            follow = process.run(c, compose.logs(name, follow=True), cwd=here.root, check=False)
        finally:
            process.run(c, compose.stop(name), cwd=here.root)
        # Leaving by Ctrl-C is how one leaves, as with `docker compose up`.
        raise Exit(code=0 if follow == process.INTERRUPTED else follow)


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
    ready.tools(c)
    here = ready.environment(c, create=True)
    stack = ready.stack(c, name)
    line = compose.build(name, no_cache=no_cache, pull=pull)
    env = {"BUILD_TARGET": "prod"} if prod else {}
    code = process.run(c, line, cwd=here.root, env=env, check=False)
    if code != 0:
        raise failure(c, stack, code)


@task(
    klass=NamesTask,
    iterable=["name"],
    help={**NAMES, "follow": "Go on showing new lines, until Ctrl-C.", "tail": "How many lines of each service."},
)
def logs(c: Context, name: list[str], follow: bool = False, tail: str | None = None) -> None:
    """Show what the services print."""
    here = ready.environment(c)
    ready.engine(c)
    ready.services_named(c, here, name)
    process.run(c, compose.logs(name, follow=follow, tail=tail), cwd=here.root)


@task(klass=NamesTask, iterable=["name"], help=NAMES)
def ps(c: Context, name: list[str]) -> None:
    """List the containers, with their health and ports."""
    here = ready.environment(c)
    ready.engine(c)
    ready.services_named(c, here, name)
    process.run(c, compose.ps(name), cwd=here.root)


@task
def config(c: Context) -> None:
    """Show the configuration as Compose resolves it, with the values of .env."""
    here = ready.environment(c, create=True)
    process.run(c, compose.config(), cwd=here.root)


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
    ready.environment(c)
    ready.engine(c)
    stack = ready.stack(c, name)
    # sh where the image holds no bash.
    command = ["sh", "-c", "exec $(command -v bash || command -v sh)"]
    ready.run_in(c, name[0] if name else ready.role(stack, "app"), command)


@task(klass=NamesTask, iterable=["name"], help=NAMES)
def stop(c: Context, name: list[str]) -> None:
    """Stop the services; their containers and data stay."""
    here = ready.environment(c)
    ready.engine(c)
    ready.services_named(c, here, name)
    process.run(c, compose.stop(name), cwd=here.root)


@task(klass=NamesTask, iterable=["name"], help=NAMES)
def restart(c: Context, name: list[str]) -> None:
    """Restart the services."""
    here = ready.environment(c)
    ready.engine(c)
    ready.services_named(c, here, name)
    process.run(c, compose.restart(name), cwd=here.root)


@task
def down(c: Context) -> None:
    """Stop the services and remove their containers; the data in their volumes stays."""
    here = ready.environment(c)
    ready.engine(c)
    process.run(c, compose.down(), cwd=here.root)


def _exec(c: Context, command: list[str], *, task_name: str, user: str | None = None) -> None:
    here = ready.environment(c)
    ready.engine(c)
    if len(command) < 2:
        example = f"`{here.command()} {task_name} SERVICE COMMAND ...`"
        raise Exit(f"`{task_name}` needs a service and a command: type {example}")
    service, *words = command
    if words[0] == "--":
        words = words[1:]
    ready.services_named(c, here, [service])
    ready.run_in(c, service, words, user=user)
