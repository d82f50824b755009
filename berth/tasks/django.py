"""Run manage.py in the service that has it."""

from __future__ import annotations

from invoke import Context, task

from berth import engines, project
from berth.arguments import WrapperTask
from berth.errors import Refused


@task(
    klass=WrapperTask,
    iterable=["command"],
    help={"command": "The command of manage.py, as you would type it behind that: `inv manage migrate --plan`."},
)
def manage(c: Context, command: list[str]) -> None:
    """Run manage.py as you, with the services running or not: `inv manage COMMAND ...`."""
    if not command:
        raise Refused(f"`manage` needs a command: type `{project.current(c).command()} manage help` for the list")
    engine = engines.choose(c)
    stack = engine.stack()
    service, words, user = stack.with_role("app"), ["python", "manage.py", *command], project.caller()
    if any(container.service == service and container.state == "running" for container in engine.containers()):
        engine.exec(service, words, user=user)
        return
    # Only what a command may need of the stack: the other dependencies would apply migrations, `migrate --plan`'s too.
    engine.up([stack.with_role("database")])
    engine.run(service, words, user=user)
