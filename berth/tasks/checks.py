"""Test the project."""

from __future__ import annotations

import sys

from invoke import Context, task

from berth import engines, process, project, testing
from berth.arguments import WrapperTask


@task(
    klass=WrapperTask,
    iterable=["command"],
    help={
        "command": "Arguments for pytest in the development services, or for the tool of --session.",
        "session": "The one session of noxfile.py to run, such as lint or types.",
    },
    auto_shortflags=False,
)
def test(c: Context, command: list[str], session: str | None = None) -> None:
    """Run all checks of noxfile.py, or a part: `inv test -k name -x`, `inv test --session lint`."""
    if command and not session:
        engines.of(c, create=True).test(c, command)
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
    engines.test_in_container(c, command, image=image)
