"""The stacks that run without containers, and what there is to look at in them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from containers.checkout import Checkout, checkout, free_port, ok

from berth.engines.embedded import leftovers

PORTS = ("APP", "DB", "BROKER", "QUEUES")


class Stack(Checkout):
    """A checkout whose services run without containers."""

    @property
    def state(self) -> Path:
        return (self.root / ".berth" / "embedded").resolve()

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return the processes of each service."""
        found: dict[str, list[psutil.Process]] = {}
        for process in leftovers.find(self.state):
            # One may end while it is looked at.
            with contextlib.suppress(psutil.NoSuchProcess):
                service = process.environ()[leftovers.MARK].rpartition(":")[2]
                found.setdefault(service, []).append(process)
        return found

    def supervisor(self) -> psutil.Process:
        (found,) = self.supervisors()
        return found

    def supervisors(self) -> Sequence[psutil.Process]:
        return leftovers.supervisors(self.root, ".berth/embedded/supervisord.conf")

    def server(self, service: str) -> psutil.Process:
        """Return the process of a server, the parent of all others of it."""
        parents = {}
        for process in self.processes()[service]:
            with contextlib.suppress(psutil.NoSuchProcess):
                parents[process.pid] = process.ppid()
        (found,) = (pid for pid, parent in parents.items() if parent not in parents)
        return psutil.Process(found)

    def rows(self, query: str) -> list[str]:
        """Return what the database answers."""
        return ok(self.inv("exec", "db", "psql", "-qAtc", query)).stdout.splitlines()

    @contextlib.contextmanager
    def edited(self, path: str, before: str, after: str) -> Iterator[None]:
        """Have other words in a file for a while."""
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        assert before in text
        file.write_text(text.replace(before, after), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(text, encoding="utf-8")

    def end(self) -> None:
        """Take the stack down, whatever state it is in, with its data."""
        self.inv("down")
        leftovers.kill(self.supervisors())
        leftovers.end(leftovers.find(self.state))
        shutil.rmtree(self.state, ignore_errors=True)

    def remove_from_engine(self) -> None:
        """No engine has anything of it: there may be none that answers."""


def without_docker(made: Checkout) -> None:
    """Let a checkout see a machine that has no `docker`."""
    folder = made.root.parent / "bin"
    folder.mkdir()
    for path in os.environ["PATH"].split(os.pathsep):
        for command in Path(path).glob("*"):
            link = folder / command.name
            if not command.name.startswith("docker") and not link.exists() and not link.is_symlink():
                link.symlink_to(command)
    made.environment |= {"PATH": str(folder), "DOCKER_HOST": f"unix://{folder}/no.sock"}


def embedded(made: Checkout) -> Stack:
    """Make a stack without containers of a checkout."""
    made.__class__ = Stack
    assert isinstance(made, Stack)
    without_docker(made)
    # By chance, as several runs at once would otherwise all find the same ports free.
    template = made.root / ".env.template"
    given = re.sub(r"# (\w+_PUBLISHED_PORT)=\d+", lambda line: f"{line[1]}={free_port()}", template.read_text())
    template.write_text(given)
    return made


@contextlib.contextmanager
def running(user: str | None = None) -> Iterator[Stack]:
    """Give a clean copy after `inv up` on a machine without `docker`; it is removed afterwards.

    :param user: as for `Checkout`.
    """
    with checkout(user) as made:
        found = embedded(made)
        try:
            ok(found.inv("up"))
            yield found
        finally:
            found.end()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A clean copy after `inv up` on a machine without `docker`; tests leave it running."""
    with running() as made:
        yield made
