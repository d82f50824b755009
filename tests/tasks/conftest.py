"""A project for each module of tests, and `inv` in it. Nothing is started: the tests run dry, or fail early."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from dry_project import Result, copy, invoke, make_env


@pytest.fixture(scope="session")
def engine() -> None:
    """Skip without an engine, unless BERTH_REQUIRE_ENGINE=1 asks for it; images are not needed here."""
    if shutil.which("docker") and subprocess.run(["docker", "version"], capture_output=True).returncode == 0:
        return
    if os.environ.get("BERTH_REQUIRE_ENGINE") == "1":
        pytest.fail("no Docker engine answers, and BERTH_REQUIRE_ENGINE=1 requires it")
    pytest.skip("no Docker engine answers")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The folder of a project that nothing was typed in yet."""
    folder = tmp_path / f"dry-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    return copy(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with its `.env`."""
    folder = copy(tmp_path_factory.mktemp(f"dry-{uuid.uuid4().hex[:8]}-"))
    make_env(folder)
    return folder


@pytest.fixture
def inv(folder: Path) -> Callable[..., Result]:
    """Run `inv WORDS` in the project."""
    return lambda *words, **variables: invoke(folder, *words, **variables)


@pytest.fixture
def dry(engine: None, folder: Path) -> Callable[..., list[str]]:
    """Run `inv --dry WORDS` in the project, and return the lines that it shows."""

    def run(*words: str) -> list[str]:
        code, output, errors = invoke(folder, "--dry", *words)
        assert (code, output) == (0, ""), errors
        lines = errors.splitlines()
        assert all(line.startswith("+ ") for line in lines), errors
        # By a number of its own each command in a container is known.
        return [re.sub(r"--env BERTH_EXEC=[0-9a-f]{8} ", "", line.removeprefix("+ ")) for line in lines]

    return run
