"""Test the project."""

from __future__ import annotations

import sys

from invoke import Context, task

from berth import engines, process, project
from berth.arguments import CommandTask


@task(
    klass=CommandTask,
    iterable=["command"],
    help={"command": "Arguments for nox: `inv test -- -s lint` runs one session. Without any, all checks run."},
    auto_shortflags=False,
)
def test(c: Context, command: list[str]) -> None:
    """Run the checks of noxfile.py: linters, types, tests on the host and inside the images."""
    here = project.of(c)
    process.run(c, [sys.executable, "-m", "nox", *command], cwd=here.root)


@task(
    klass=CommandTask,
    iterable=["command"],
    help={
        "image": "The image to test in: dev; test, the shipped one with what tests need; dev-... from that lock.",
        "command": "Arguments for pytest: `inv test-in-container -- -k name`.",
    },
    auto_shortflags=False,
)
def test_in_container(c: Context, command: list[str], image: str = "dev") -> None:
    """Test inside a built image, in a stack of its own that is removed afterwards; `nox` calls this for each image."""
    engines.test_in_container(c, command, image=image)
