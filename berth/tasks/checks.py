"""Test the project, and check its code."""

from __future__ import annotations

import os
import sys

from invoke import Context, task

from berth import engines, process, project
from berth.arguments import NamesTask, WrapperTask

CLEAN_UP_SECONDS = 120.0


@task(
    klass=WrapperTask,
    iterable=["command"],
    help={"command": "Arguments for pytest: `inv test -k name -x`."},
)
def test(c: Context, command: list[str]) -> None:
    """Test the project by pytest on the services that run here; they are started if they do not run."""
    engine = engines.choose(c, create=True)
    engine.up([])
    engine.exec(engine.stack().with_role("app"), ["pytest", *command], user=project.caller())


@task(
    klass=WrapperTask,
    iterable=["command"],
    help={
        "image": "The image to test in: dev; test, the shipped one with what tests need; dev-... from that lock.",
        "command": "Arguments for pytest: `inv test-in-container --image test -k name`.",
    },
    auto_shortflags=False,
)
def test_in_container(c: Context, command: list[str], image: str = "dev") -> None:
    """Test inside a built image, in a stack of its own that is removed afterwards; `nox` calls this for each image."""
    from berth.compose import throwaway  # not at every start of `inv`
    from berth.env import prepare

    throwaway.stage(image)
    engine = engines.docker_engine(c)
    here, name = engine.here, engine.stack().project_name
    files = prepare.compose_files(here)
    variables = throwaway.variables(files, project_name=name, image=image, run=os.urandom(4).hex())
    stack = engine.under(variables)
    if not c.config.run.dry:
        here.reports.mkdir(exist_ok=True)
    stack.build([engine.stack().with_role("app")])
    try:
        stack.up([])
        stack.run(
            throwaway.SERVICE,
            throwaway.pytest(image, command),
            user=project.caller(),
            mounts=[f"{here.reports}:/reports"],
        )
    finally:
        stack.down(volumes=True)


@task(klass=NamesTask, iterable=["name"], help={"name": "A session of noxfile.py; without any, all of them."})
def check(c: Context, name: list[str]) -> None:
    """Run the checks of noxfile.py, all of them or those that you name: `inv check lint types`."""
    sessions = ["--session", *name] if name else []
    # Sessions remove their stacks when they are told to end.
    process.run(c, [sys.executable, "-m", "nox", *sessions], cwd=project.current(c).root, grace=CLEAN_UP_SECONDS)
