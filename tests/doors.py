"""The two programs that run tasks: ours, which `./inv` and `berth` start, and Invoke's own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

DOORS = {
    "./inv": [sys.executable, str(ROOT / "berth" / "__main__.py")],
    "plain inv": [sys.executable, "-m", "invoke"],
}

TASKS = '''
from pathlib import Path
from invoke import Collection, task
from berth import plain_invoke, process
from berth.arguments import CommandTask, Task

plain_invoke.install()

@task(klass=CommandTask, iterable=["command"], auto_shortflags=False)
def run(c, command, folder=".", variable="", grace=process.GRACE):
    """Run a command."""
    env = dict([variable.split("=", 1)]) if variable else None
    process.run(c, command, cwd=Path(folder), env=env, grace=grace)
    print("ran on")

@task(klass=Task)
def read(c, path):
    """Read a file."""
    print(Path(path).read_text())

@task(klass=Task)
def wait(c):
    """Wait for a key."""
    print("ready", flush=True)
    input()

namespace = Collection(run, read, wait)
'''


def project(folder: Path) -> Path:
    """Make a project with some small tasks of a folder."""
    (folder / "tasks.py").write_text(TASKS)
    return folder


def environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "", "PS1": "$ ", **variables}
