"""Throw-away projects made of this repository's files, and `inv` in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from berth import env

ROOT = Path(__file__).parents[1]
SECONDS = 60


class Result(NamedTuple):
    code: int
    output: str
    errors: str


def environment(**variables: str) -> dict[str, str]:
    """Return our environment without what would change a project's, and with ``variables``."""
    template = env.parse_template((ROOT / ".env.template").read_text())
    ours = {
        name: value for name, value in os.environ.items() if name not in template and not name.startswith("COMPOSE_")
    }
    return {**ours, "PYTHONPATH": str(ROOT), **variables}


def invoke(folder: Path, *words: str, **variables: str) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=folder,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def copy(folder: Path) -> Path:
    """Make a project of the repository's files, without `.env`."""
    shutil.copytree(ROOT / "docker", folder / "docker")
    for file in ("tasks.py", ".env.template", "inv"):
        shutil.copy(ROOT / file, folder)
    return folder


def make_env(folder: Path) -> None:
    """Make the project's `.env` as the product does. It is there without an engine, too, which `config` needs next."""
    made = invoke(folder, "config", BERTH_ENGINE="docker")
    assert (folder / ".env").exists(), made.errors
