"""Test the project."""

from __future__ import annotations

import os
import sys

from invoke import Context, Exit, task

from berth import compose, process, project, testing
from berth.arguments import WrapperTask
from berth.tasks import ready
from berth.tasks.failure import failure


@task(
    klass=WrapperTask,
    iterable=["command"],
    help={
        "command": "Arguments for pytest in the development image, or for the tool of --session.",
        "session": "The one session of noxfile.py to run, such as lint or types.",
    },
    auto_shortflags=False,
)
def test(c: Context, command: list[str], session: str | None = None) -> None:
    """Run all checks of noxfile.py, or a part: `inv test -k name -x`, `inv test --session lint`."""
    if command and not session:
        _in_container(c, command, image="dev")
        return
    process.run(c, [sys.executable, "-m", "nox", *testing.nox(session, command)], cwd=project.of(c).root)


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
    _in_container(c, command, image=image)


def _in_container(c: Context, command: list[str], *, image: str) -> None:
    try:
        testing.stage(image)
    except ValueError as error:
        raise Exit(str(error)) from None
    ready.tools(c)
    here = ready.environment(c, create=True)
    resolved = ready.stack(c)
    if not c.config.run.dry:
        here.reports.mkdir(exist_ok=True)
    env = testing.environment(
        ready.compose_files(here), project_name=resolved.project_name, image=image, run=str(os.getpid())
    )
    app = ready.role(resolved, "app")
    process.run(c, compose.build([app]), cwd=here.root, env=env)
    try:
        code = process.run(c, compose.up(), cwd=here.root, env=env, check=False)
        if code != 0:
            raise failure(c, resolved, code, env=env)
        line = compose.run(
            testing.SERVICE,
            testing.pytest(image, command),
            terminal=process.is_terminal(),
            user=project.caller(),
            volumes=[f"{here.reports}:/reports"],
            dependencies=False,
        )
        process.run(c, line, cwd=here.root, env=env)
    finally:
        process.run(c, compose.down(volumes=True), cwd=here.root, env=env, check=False)
