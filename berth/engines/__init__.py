"""Drive the services: in containers, or without them. Nothing above knows which of the two runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from invoke import Context

from berth.stdio import OURS

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from berth.compose.config import Stack
    from berth.compose.ps import Container
    from berth.engines.docker.engine import Docker
    from berth.project import Project
    from berth.stdio import Stdio


class Engine(Protocol):
    """What the tasks are made of. Verbs are written once, in `berth.tasks`, on top of these.

    Each one shows the line that it runs, and ends the task with that line's exit code when it fails. Names of services
    are checked first; none means all. All raise `Refused` with one message when something is wrong.
    """

    c: Context
    here: Project

    def stack(self) -> Stack:
        """Return the services as Compose resolves them."""

    def containers(self) -> list[Container]:
        """Return what there is of the services, stopped ones too."""

    def config(self) -> None:
        """Show the configuration as Compose resolves it."""

    def build(self, names: Sequence[str], *, no_cache: bool = False, pull: bool = False) -> None:
        """Build the images, of the stage that BUILD_TARGET names."""

    def up(self, names: Sequence[str], *, build: bool = False, wait: bool = True) -> None:
        """Start services with what they depend on.

        :param wait: until they are healthy; false: until they run.
        """

    def stop(self, names: Sequence[str], *, yes: bool = False) -> None:
        """Stop services.

        :param yes: throw away what only lives in their memory.
        """

    def leave(self, names: Sequence[str]) -> None:
        """Stop services, but for those that would lose what only lives in their memory."""

    def restart(self, names: Sequence[str], *, yes: bool = False) -> None: ...

    def down(self, *, volumes: bool = False, yes: bool = False) -> None:
        """Stop the services and remove all but their data.

        :param volumes: their data, too.
        """

    def logs(self, names: Sequence[str], *, follow: bool = False, tail: str | None = None) -> None: ...

    def ps(self, names: Sequence[str]) -> None: ...

    def exec(self, service: str, command: Sequence[str], *, user: str | None = None, stdio: Stdio = OURS) -> None:
        """Run a command in a running service, on our own stdio.

        :param user: whom to run it as, by name or as `UID:GID`, instead of the service's user.
        :param stdio: what it reads and writes in place of our own stdin and stdout.
        """

    def read(self, service: str, command: Sequence[str]) -> CompletedProcess[str]:
        """Run a command in a running service to read its output; nothing is shown, a failure is the caller's."""

    def run(self, service: str, command: Sequence[str], *, user: str | None = None, mounts: Sequence[str] = ()) -> None:
        """Run a command as a service that need not run, without starting what it depends on.

        :param mounts: `HERE:THERE` of folders of this machine.
        """


def choose(c: Context, *, create: bool = False, idle: bool = False) -> Engine:
    """Return the engine that BERTH_ENGINE asks for; say which one it is, and why, unless it is plainly Docker.

    :param create: the task makes `.env` where there is none.
    :param idle: nothing is to run, so no engine has to answer.
    :raises Refused: BERTH_ENGINE names no engine, `.env` is missing or has problems, or no engine answers.
    """
    from berth.engines import choice  # not at every start of `inv`, as for its list of tasks

    return choice.choose(c, create=create, idle=idle)


def docker_engine(c: Context) -> Docker:
    """Return the engine that has images, whichever runs the services; `.env` is made where there is none.

    :raises Refused: as `choose`.
    """
    from berth.engines import choice

    return choice.docker_engine(c)
