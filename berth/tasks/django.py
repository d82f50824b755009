"""Run manage.py in a container."""

from __future__ import annotations

from invoke import Context, Exit, task

from berth import compose, process, project
from berth.arguments import WrapperTask
from berth.tasks import ready


@task(
    klass=WrapperTask,
    iterable=["command"],
    help={"command": "The command of manage.py, as you would type it behind that: `inv manage migrate --plan`."},
)
def manage(c: Context, command: list[str]) -> None:
    """Run manage.py as you, in the running service or else in a container of its own: `inv manage COMMAND ...`."""
    here = ready.environment(c)
    if not command:
        raise Exit(f"`manage` needs a command: type `{here.command()} manage help` for the list")
    ready.engine(c)
    stack = ready.stack(c)
    service = ready.role(stack, "app")
    words = ["python", "manage.py", *command]
    user = project.caller()
    if any(container.service == service and container.state == "running" for container in ready.containers(c)):
        ready.run_in(c, service, words, user=user)
        return
    # Only what a command may need of the stack: the other dependencies would apply migrations, `migrate --plan`'s too.
    process.run(c, compose.up([ready.role(stack, "database")]), cwd=here.root)
    line = compose.run(service, words, terminal=process.is_terminal(), user=user, dependencies=False)
    process.run(c, line, cwd=here.root)
