"""A copy of the repository with a stack of its own, driven by the product's own commands."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pexpect

from berth import env

ROOT = Path(__file__).parents[2]
SOCKET = Path("/var/run/docker.sock")
PATIENCE = 180
"""Seconds that a command of the product may take on a busy machine."""


class Answer(NamedTuple):
    """What an HTTP server says."""

    status: int
    headers: dict[str, str]
    body: bytes


class Checkout:
    """A folder with the files of the repository, as git would clone them with the edits of the working tree.

    :param parent: an empty folder that every user may enter.
    :param user: `uid:gid` to run the product as, the owner of the files; None: whoever runs the tests.
    """

    def __init__(self, parent: Path, user: str | None = None) -> None:
        self.root = parent / f"berth-{uuid.uuid4().hex[:8]}"
        self.library = parent / "library"
        self.home = parent / "home"
        self.user = user
        self.environment = _clean_environment()
        _copy_files(self.root)
        self.root.chmod(0o755)
        if user:
            self.home.mkdir()
            _copy_packages(self.library)
            self.environment |= {"HOME": str(self.home), "PYTHONPATH": str(self.library)}
            self.own(self.root, self.home)

    @property
    def name(self) -> str:
        """The Compose project's name, which `.env` takes from the folder."""
        return self.root.name

    def own(self, *folders: Path) -> None:
        """Give the folders to the user of this checkout."""
        if self.user:
            subprocess.run(["chown", "-R", self.user, *map(str, folders)], check=True)

    def command(self, *words: str) -> list[str]:
        """Return the line that runs ``words`` as the user of this checkout."""
        if not self.user:
            return list(words)
        uid, gid = self.user.split(":")
        # The group of the socket is what `usermod -aG docker` gives to a user.
        groups = f"--groups={SOCKET.stat().st_gid}"
        return ["setpriv", f"--reuid={uid}", f"--regid={gid}", groups, "--", *words]

    def task(self, *words: str) -> list[str]:
        """Return the line of `inv WORDS`."""
        return self.command(_python(self.user), "-m", "invoke", *words)

    def inv(
        self, *words: str, stdin: bytes | None = None, variables: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a task; nobody types."""
        return self.run(self.task(*words), stdin=stdin, variables=variables)

    def run(
        self, line: list[str], *, stdin: bytes | None = None, variables: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a line in the checkout, and keep what it prints."""
        source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        made = subprocess.run(
            line,
            cwd=self.root,
            env=self.environment | (variables or {}),
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            **source,
        )
        texts = (stream.decode(errors="replace") for stream in (made.stdout, made.stderr))
        return subprocess.CompletedProcess(made.args, made.returncode, *texts)

    def compose(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run plain `docker compose`."""
        return self.run(["docker", "compose", *words])

    def spawn(self, line: list[str], timeout: int = 60) -> pexpect.spawn:
        """Run a line on a terminal of its own."""
        return pexpect.spawn(
            line[0],
            line[1:],
            cwd=str(self.root),
            env=self.environment,
            encoding="utf-8",
            timeout=timeout,
            dimensions=(40, 200),
        )

    def prepare(self) -> None:
        """Make `.env` as the product does, with the base images, and with ports that are free."""
        # Whatever happens to the engine, these tests are about it.
        self.environment["BERTH_ENGINE"] = "docker"
        ok(self.inv("images.base"))
        self.set(**{f"{name}_PUBLISHED_PORT": str(free_port()) for name in ("APP", "DB", "BROKER", "QUEUES")})

    def set(self, **values: str) -> None:
        """Write values into `.env`."""
        path = self.root / ".env"
        path.write_text(env.with_values(path.read_text(encoding="utf-8"), values), encoding="utf-8")

    def value(self, name: str) -> str:
        """Return a value of `.env`."""
        return env.read(self.root / ".env", {}).values[name]

    def port(self, service: str) -> str:
        """Return the port on this machine that `.env`, or else its template, gives to a service."""
        found = env.parse_template((self.root / ".env.template").read_text(encoding="utf-8"))
        name = f"{service}_PUBLISHED_PORT"
        return env.read(self.root / ".env", {}).values.get(name, found[name].default)

    def url(self, path: str, service: str = "APP") -> str:
        return f"http://127.0.0.1:{self.port(service)}{path}"

    def get(self, path: str, service: str = "APP") -> Answer:
        return get(self.url(path, service))

    def sql(self, query: str, database: str | None = None) -> str:
        """Return what the database answers, unaligned, without headers."""
        # By variable, because psql takes a name that holds `=` for a connection string.
        variable = f"PGDATABASE={database or self.value('DB_NAME')}"
        line = ["exec", "-T", "--env", variable, "db", "psql", "-U", "postgres", "-qAtc", query]
        return ok(self.compose(*line)).stdout.strip()

    def container(self, service: str) -> str:
        """Return the id of the only container of a service."""
        (found,) = ok(self.compose("ps", "--all", "--quiet", service)).stdout.split()
        return found

    def wait_until_ready(self, seconds: float = 60) -> None:
        within(seconds, lambda: self.get("/status/ready/").status == 200, "/status/ready/ answers 200")

    def leftovers(self, prefix: str) -> list[str]:
        """Return containers, volumes and networks of the Compose projects whose name begins with ``prefix``."""
        label = '{{.Label "com.docker.compose.project"}}'
        found = []
        for kind, listing, key in (
            ("container", ["ps", "--all"], "{{.ID}}"),
            ("volume", ["volume", "ls"], "{{.Name}}"),
            ("network", ["network", "ls"], "{{.ID}}"),
        ):
            rows = docker(*listing, "--format", f"{kind} {key} {label}").stdout.splitlines()
            found += [" ".join(row.split()[:2]) for row in rows if row.split()[-1].startswith(prefix)]
        return found

    def remove(self) -> None:
        """Remove everything of this checkout."""
        self.remove_from_engine()
        for folder in (self.root, self.library, self.home):
            shutil.rmtree(folder, ignore_errors=True)

    def remove_from_engine(self) -> None:
        """Remove everything of this checkout that an engine has."""
        for row in self.leftovers(self.name):
            kind, key = row.split()
            docker(kind, "rm", *["--force"] * (kind != "network"), key)
        listed = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"{self.name}-*").stdout.split()
        if listed:
            docker("image", "rm", "--force", *listed)


@contextlib.contextmanager
def checkout(user: str | None = None) -> Iterator[Checkout]:
    """Give a `Checkout` that is removed afterwards."""
    # Not pytest's folders: other users may not enter those.
    with tempfile.TemporaryDirectory(prefix="berth-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        made = Checkout(Path(folder), user)
        try:
            yield made
        finally:
            made.remove()


def ok(made: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """Return ``made``, which must have ended well."""
    assert made.returncode == 0, f"{made.args} ended with {made.returncode}:\n{made.stderr}\n{made.stdout}"
    return made


def docker(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run plain `docker`."""
    made = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=PATIENCE)
    return ok(made) if check else made


def state(container: str) -> dict[str, object]:
    """Return the engine's `State` of a container."""
    return json.loads(docker("inspect", "--format", "{{json .State}}", container).stdout)


def get(url: str, **headers: str) -> Answer:
    """Ask an HTTP server; no answer counts as status 0. An underscore in a header's name stands for a hyphen."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return Answer(response.status, dict(response.headers), response.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, dict(error.headers), error.read())
    except OSError as error:
        return Answer(0, {}, str(error).encode())


def within(seconds: float, condition: Callable[[], object], what: str) -> None:
    """Wait until ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _copy_files(target: Path) -> None:
    line = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def _copy_packages(target: Path) -> None:
    """Copy what the product imports to where another user may read it."""
    for name in _with_needs("invoke", "python-dotenv", "psutil", "uv"):
        for file in importlib.metadata.files(name) or []:
            # Commands lie in `../../../bin`; of them only uv is one that its module looks for.
            copy = target / "bin" / file.name if file.name == "uv" else target / file
            if ".." not in copy.parts and "__pycache__" not in copy.parts:
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), copy)


def _with_needs(*names: str) -> set[str]:
    """Return the names of installed packages, with what they need."""
    found: set[str] = set()
    pending = set(names)
    while pending:
        name = pending.pop()
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            rows = importlib.metadata.requires(name) or []
            found.add(name)
            pending |= {re.split(r"[^\w.-]", row)[0] for row in rows if "extra ==" not in row} - found
    return found


def _python(user: str | None) -> str:
    if not user:
        return sys.executable
    # Ours may lie in a home that the other user may not enter.
    found = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    assert found, "another user needs a Python of the system"
    return found


def _clean_environment() -> dict[str, str]:
    """Return our environment without what would override `.env`."""
    template = env.parse_template((ROOT / ".env.template").read_text(encoding="utf-8"))
    # What an outer `inv` sets where nobody watches is not for the terminals of the tests.
    looks = {"CI", "COMPOSE_ANSI", "COMPOSE_PROGRESS", "BUILDKIT_PROGRESS"}
    foreign = {*template, *looks, "COMPOSE_PROFILES", "PYTHONPATH"}
    return {name: value for name, value in os.environ.items() if name not in foreign} | {"NO_COLOR": "1"}
