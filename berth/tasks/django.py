"""Run manage.py in the service that has it."""

from __future__ import annotations

from invoke import Context, Exit, task

from berth import engines, project
from berth.arguments import WrapperTask


@task(
    klass=WrapperTask,
    iterable=["command"],
    help={"command": "The command of manage.py, as you would type it behind that: `inv manage migrate --plan`."},
)
def manage(c: Context, command: list[str]) -> None:
    """Run manage.py as you, with the services running or not: `inv manage COMMAND ...`."""
    if not command:
        raise Exit(f"`manage` needs a command: type `{project.of(c).command()} manage help` for the list")
    engines.of(c).manage(c, command)
