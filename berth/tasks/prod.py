"""Try the image that is shipped on this machine: as it is, behind the balancer, with a real database and broker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invoke import Context, task

from berth import engines
from berth.arguments import Task
from berth.errors import Refused

if TYPE_CHECKING:
    from berth.engines.docker.engine import Docker

IMAGE = {"image": "The image to try: a name that `inv release` has printed; without it the one that was built last."}

TASK_SECONDS = 30
"""In which a worker takes a task, and ends it."""


@task(klass=Task, help=IMAGE, auto_shortflags=False)
def up(c: Context, image: str | None = None) -> None:
    """Start the image that is shipped behind TLS, with services of its own, and wait until they are healthy."""
    engine = _engine(c, image)
    engine.up([])
    if c.config.run.dry:
        return
    port = engine.address(engine.stack().with_role("balancer")).rpartition(":")[2]
    print(f"https://localhost:{port}")


@task(klass=Task, help=IMAGE, auto_shortflags=False)
def smoke(c: Context, image: str | None = None) -> None:
    """See whether it serves, refuses, is hardened, and stops in order: `inv prod.up` first."""
    from berth.compose import trial  # not at every start of `inv`

    engine = _engine(c, image)
    service = engine.stack().with_role("app")
    engine.exec(service, trial.SMOKE_TEST)
    engine.exec(service, trial.through(engine.stack().with_role("balancer")))
    if not c.config.run.dry:
        _run_task(engine, service)
        _stop_one(engine, service)
    engine.stop([service])
    if c.config.run.dry:
        return
    codes = {container.exit_code for container in engine.containers() if container.service == service}
    if codes != {0}:
        raise Refused(f"the service `{service}` ended with {max(codes)} when it was told to stop: type `docker logs`")
    print("ok   the server stops in order")
    engine.up([])


@task(klass=Task)
def down(c: Context) -> None:
    """Remove what `inv prod.up` has started, and its data."""
    _engine(c, None).down(volumes=True)


def _run_task(engine: Docker, service: str) -> None:
    """Publish a task, and wait for a worker to say that it has run, where there is one.

    :raises Refused: none does.
    """
    from berth.compose import trial

    stack = engine.stack()
    workers = trial.workers(stack)
    if not workers:
        return
    if stack.environment(workers[0]).get("LOG_LEVEL", "INFO") not in ("DEBUG", "INFO"):
        print("note with this LOG_LEVEL no worker says that a task has run: none is published")
        return
    sent = engine.read(service, trial.task())
    if sent.returncode != 0:
        raise Refused(f"no task can be published: {sent.stderr.strip()}")
    (number,) = sent.stdout.split()[-1:]
    deadline = time.monotonic() + TASK_SECONDS
    while not any(number in line and "succeeded" in line for line in engine.said(workers).splitlines()):
        if time.monotonic() > deadline:
            raise Refused(
                f"no line of {', '.join(workers)} says within {TASK_SECONDS} s that the task {number} has succeeded, "
                "which is logged at the level INFO"
            )
        time.sleep(0.5)
    print("ok   a task that is published runs")


def _stop_one(engine: Docker, service: str) -> None:
    """Stop one of several replicas while clients ask.

    :raises Refused: not each of their requests was answered.
    """
    from berth.compose import trial
    from berth.tasks import asking

    replicas = [one.name for one in engine.containers() if one.service == service and one.state == "running"]
    if len(replicas) < 2:
        print("note one replica runs alone: none is stopped while clients ask")
        return
    stack = engine.stack()
    host = engine.read(service, trial.host()).stdout.strip()
    with asking.Asking(engine.address(stack.with_role("balancer")), host, "/") as clients:
        engine.stop_one(replicas[-1])
    answered = sum(clients.answers.values())
    if lost := asking.lost(clients.answers):
        told = ", ".join(f"{times} times {said}" for said, times in lost.most_common(5))
        raise Refused(f"{lost.total()} of {answered} requests were lost while {replicas[-1]} stopped: {told}")
    print(f"ok   no request is lost while a replica stops, of {answered} by https")


def _engine(c: Context, image: str | None) -> Docker:
    from berth import env  # not at every start of `inv`
    from berth.compose import trial
    from berth.env import prepare

    docker = engines.docker_engine(c)
    here, name = docker.here, docker.stack().project_name
    files = prepare.compose_files(here)
    for overlay in trial.overlays(files):
        if not (here.root / overlay).exists():
            raise Refused(f"the project has no {overlay}: type `{here.command()} upgrade`, or copy it from Berth")
    template = env.parse_template(env.read_text(here.env_template))
    return docker.under(
        trial.variables(
            files,
            project_name=name,
            image=image or f"{name}-app:prod",
            env_file=here.env_file.name,
            ports=(variable for variable in template if variable.endswith("_PUBLISHED_PORT")),
        )
    )
