"""Put the image that is shipped into service on a cluster, and look after it there."""

from __future__ import annotations

from invoke import Context, task

from berth import project
from berth.arguments import NamesTask, Task
from berth.errors import Refused

TO = {"to": "The kind of cluster: swarm or kubernetes."}
CONTEXT = {"context": "Which cluster: a context of docker or kubectl, or `ssh://USER@HOST` for an engine."}


@task(
    klass=Task,
    default=True,
    help={
        **TO,
        **CONTEXT,
        "image": "A released image by its whole name; without it, that of the commit.",
        "allow-unsafe-migrations": "Apply migrations, too, that the running version cannot live with.",
    },
)
def now(
    c: Context,
    to: str = "swarm",
    context: str | None = None,
    image: str | None = None,
    allow_unsafe_migrations: bool = False,
) -> None:
    """Put a released image into service: migrate first, replace without downtime, go back where it fails."""
    from berth import deploy  # not at every start of `inv`

    deploy.choose(c, to, context=context).deploy(image, unsafe_migrations=allow_unsafe_migrations)


@task(klass=Task, help={**TO, **CONTEXT})
def status(c: Context, to: str = "swarm", context: str | None = None) -> None:
    """Show what runs on the cluster, and how healthy it is."""
    from berth import deploy

    deploy.choose(c, to, context=context).status()


@task(klass=Task, help={**TO, **CONTEXT})
def rollback(c: Context, to: str = "swarm", context: str | None = None) -> None:
    """Put the version before the running one back into service; migrations stay applied."""
    from berth import deploy

    deploy.choose(c, to, context=context).rollback()


@task(
    klass=NamesTask,
    iterable=["name"],
    help={**TO, **CONTEXT, "name": "A service and a number; type any number of them: `inv deploy.scale app=3`."},
)
def scale(c: Context, name: list[str], to: str = "swarm", context: str | None = None) -> None:
    """Change how many replicas services have: `inv deploy.scale SERVICE=NUMBER ...`."""
    from berth import deploy

    replicas = _replicas(name, example=f"{project.current(c).command()} deploy.scale SERVICE=NUMBER")
    deploy.choose(c, to, context=context).scale(replicas)


def _replicas(words: list[str], *, example: str) -> dict[str, int]:
    """Return the numbers that ``words`` give to services.

    :raises Refused: one of them is not of the form `SERVICE=NUMBER`, or there is none.
    """
    if not words:
        raise Refused(f"`deploy.scale` needs a service and a number: type `{example}`")
    found: dict[str, int] = {}
    for word in words:
        service, _, number = word.partition("=")
        if not service or not number.isascii() or not number.isdecimal():
            raise Refused(f"`{word}` is not a service and a number: type `{example}`")
        if service in found:
            raise Refused(f"`{service}` has two numbers: give it one")
        found[service] = int(number)
    return found
