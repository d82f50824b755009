"""Fixtures of the tests of the containers' scripts."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import APP, Postgres, downloaded_binaries, free_port, installed_binaries, unavailable


@pytest.fixture(scope="session")
def start_postgres() -> Iterator[Callable[..., Postgres]]:
    """Start a server of the given version, the newest installed one without, and stop it after the tests."""
    servers: list[Postgres] = []
    with contextlib.ExitStack() as stack:
        # Not pytest's folder, which only its owner may enter.
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="berth-", ignore_cleanup_errors=True)))
        scratch.chmod(0o755)

        def start(version: str = "", started: bool = True, **settings: str) -> Postgres:
            installed = installed_binaries()
            if not (installed and shutil.which("psql")):
                unavailable("no PostgreSQL server is installed: type `apt-get install postgresql`")
            if not version:
                version = list(installed)[-1]
            binaries = installed.get(version) or downloaded_binaries(version, scratch)
            directory = scratch / f"cluster{len(servers)}"
            directory.mkdir()
            server = Postgres(binaries, directory, free_port(), **settings)
            server.initialise()
            servers.append(server)
            if started:
                server.start()
            return server

        yield start
        for server in servers:
            if (server.directory / "data/postmaster.pid").exists():
                server.stop()


@pytest.fixture(scope="session")
def postgres(start_postgres: Callable[..., Postgres]) -> Postgres:
    """A running server with the application's database `shop` of the role `web`, password `secret`."""
    server = start_postgres()
    server.initialise_application()
    return server


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder like /usr/local/bin of the app image, with the Python of the tests instead of the image's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for script in APP.glob("*.sh"):
        (folder / script.name).symlink_to(script)
    for module, command in {
        "wait_for_database.py": "wait-for-database",
        "reload_on_edit.py": "reload-on-edit",
        "reload_on_request.py": "reload-on-request",
    }.items():
        (folder / command).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{APP / module}" "$@"\n')
        (folder / command).chmod(0o755)
    return folder


@pytest.fixture
def container(scripts: Path) -> Callable[..., dict[str, str]]:
    """Return a function that gives the environment of a process in the app container."""

    def environment(**variables: object) -> dict[str, str]:
        path = f"{scripts}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        return {"PATH": path, "HOME": str(scripts), **{name: str(value) for name, value in variables.items()}}

    return environment
