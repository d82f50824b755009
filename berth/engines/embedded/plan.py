"""What is known of the services as they run without containers: from the compose files alone, and nothing is done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from berth.compose.config import Stack
from berth.engines.embedded import programs
from berth.engines.embedded.programs import Program, Site
from berth.engines.embedded.state import State
from berth.errors import Refused


@dataclass(frozen=True)
class Plan:
    """The services of a checkout.

    :param programs: those that run here, each behind those it depends on.
    :param app: the service with manage.py.
    :param left_out: those that only containers can run.
    :param command: what a user types to run a task.
    """

    state: State
    stack: Stack
    programs: Sequence[Program]
    app: str
    left_out: Sequence[str]
    command: str

    def check(self, names: Collection[str]) -> None:
        """:raises Refused: one of ``names`` is no service, or needs a container."""
        self.stack.check(names)
        if unable := [name for name in names if name in self.left_out]:
            raise Refused(f"`{unable[0]}` needs a container: type BERTH_ENGINE=docker in front of the command")

    def of(self, names: Collection[str]) -> list[Program]:
        """Return the programs of these services, all of them if there are none, in the order of their start."""
        return [program for program in self.programs if not names or program.service in names]

    def with_needs(self, names: Collection[str]) -> list[Program]:
        """Return the programs of these services and of what they depend on.

        :raises Refused: one of them depends on what only a container can run, and would wait for it for ever.
        """
        wanted = set(names)
        for program in reversed(self.programs):
            if program.service in wanted:
                wanted |= set(program.waits)
        found = self.of(wanted)
        for program in found:
            for missing in program.needs:
                raise Refused(
                    f"`{program.service}` depends on `{missing}`, which only a container can run: write `required: "
                    f"false` below that dependency, or type BERTH_ENGINE=docker in front of the command"
                )
        return found

    def program(self, service: str) -> Program:
        """Return the program of a service that `check` has let pass.

        :raises Refused: it has no replica.
        """
        for program in self.programs:
            if program.service == service:
                return program
        raise Refused(f"`{service}` has no replicas, so there is none to run a command in")

    def waves(self, chosen: Sequence[Program]) -> list[list[Program]]:
        """Return programs in groups to be stopped one after the other: each before those it depends on."""
        found, left = [], list(chosen)
        while left:
            needed = {name for program in left for name in program.waits}
            found.append([program for program in left if program.service not in needed])
            left = [program for program in left if program.service in needed]
        return found


def make(stack: Stack, state: State, *, scripts: Collection[str], paths: Sequence[str], command: str = "inv") -> Plan:
    """Return the services as they run here.

    A service whose image is built here, that of the role `app`, runs its command with the project's virtualenv. Another
    one is run by scripts/start-ROLE.sh, where its role has one. The rest needs a container.

    :param scripts: the names of the files in scripts/.
    :param paths: the folders of the servers' own commands.
    :param command: what a user types to run a task.
    :raises Refused: the image to run is not the one for development, or no folder is mounted where its code is.
    """
    app = stack.with_role("app")
    if (target := stack.definition(app).get("build", {}).get("target", "dev")) != "dev":
        raise Refused(
            f"BUILD_TARGET is `{target}`: without containers there is `dev` only; remove it from .env, with the "
            "overlay in COMPOSE_FILE, or set BERTH_ENGINE=docker"
        )
    site = Site(stack, state, app, scripts, paths)
    present = {name for name in stack.names() if programs.replicas(stack.definition(name))}
    here = {name for name in present if site.is_code(name) or site.script("start", name)}
    made = [programs.make(site, name, here=here, missing=present - here) for name in order(stack) if name in here]
    return Plan(state, stack, made, app, sorted(present - here), command)


def order(stack: Stack) -> list[str]:
    """Return the services, each behind those it depends on."""
    graph = {name: sorted(stack.definition(name).get("depends_on") or {}) for name in stack.names()}
    return list(TopologicalSorter(graph).static_order())
