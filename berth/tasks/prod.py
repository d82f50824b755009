"""Try the image that is shipped on this machine: as it is, without a mount, with a real database and a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Context, task

from berth import engines
from berth.arguments import Task
from berth.errors import Refused

if TYPE_CHECKING:
    from berth.engines.docker.engine import Docker

IMAGE = {"image": "The image to try: a name that `inv release` has printed; without it the one that was built last."}


@task(klass=Task, help=IMAGE, auto_shortflags=False)
def up(c: Context, image: str | None = None) -> None:
    """Start the image that is shipped, with services of its own, and wait until they are healthy."""
    engine = _engine(c, image)
    engine.up([])
    if c.config.run.dry:
        return
    print(f"http://{engine.address(engine.stack().with_role('app'))}")


@task(klass=Task, help=IMAGE, auto_shortflags=False)
def smoke(c: Context, image: str | None = None) -> None:
    """See whether it serves, refuses, is hardened, and stops in order: `inv prod.up` first."""
    from berth.compose import trial  # not at every start of `inv`

    engine = _engine(c, image)
    service = engine.stack().with_role("app")
    engine.exec(service, trial.SMOKE_TEST)
    engine.stop([service])
    if c.config.run.dry:
        return
    (code,) = {container.exit_code for container in engine.containers() if container.service == service}
    if code != 0:
        raise Refused(f"the service `{service}` ended with {code} when it was told to stop: type `docker logs`")
    print("ok   the server stops in order")
    engine.up([])


@task(klass=Task)
def down(c: Context) -> None:
    """Remove what `inv prod.up` has started, and its data."""
    _engine(c, None).down(volumes=True)


def _engine(c: Context, image: str | None) -> Docker:
    from berth.compose import trial  # not at every start of `inv`
    from berth.env import prepare

    docker = engines.docker_engine(c)
    name = docker.stack().project_name
    files = prepare.compose_files(docker.here)
    return docker.under(trial.variables(files, project_name=name, image=image or f"{name}-app:prod"))
