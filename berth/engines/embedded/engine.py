"""Run the services without containers: the same commands, on servers from wheels, below a supervisor."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from subprocess import CompletedProcess

from invoke import Context

from berth import process, project
from berth.compose import ps
from berth.compose.config import Stack
from berth.compose.ps import Container
from berth.engines.embedded import (
    control,
    files,
    install,
    leftovers,
    lines,
    messages,
    plan,
    state,
    supervisor,
    watch,
)
from berth.engines.embedded.plan import Plan
from berth.engines.embedded.programs import Program
from berth.errors import Refused
from berth.project import Project
from berth.stdio import OURS, Stdio


class Embedded:
    """See `berth.engines.Engine`."""

    def __init__(self, c: Context, here: Project) -> None:
        self.c = c
        self.here = here
        self.state = state.of(here)
        # What tasks start, but for the services, is known by it, also when the task itself has been killed.
        os.environ[leftovers.TASK] = str(self.state.folder)

    @cached_property
    def _plan(self) -> Plan:
        """The services as they run here; what they run on is installed first, where there is none.

        :raises Refused: Compose refuses the files, or a service cannot run here.
        """
        if not self._installed():
            self._install()
        answer = process.capture(self.c, lines.compose(self.state, "config", "--format", "json"), cwd=self.here.root)
        if answer.returncode != 0:
            raise Refused(answer.stderr.strip(), code=answer.returncode)
        found = plan.make(
            Stack(answer.stdout),
            self.state,
            scripts=[path.name for path in lines.SCRIPTS.iterdir()],
            paths=[str(path) for path in self._servers()],
            command=self.here.command(),
        )
        if found.left_out:
            _say(f"left out, as only containers can run it: {', '.join(found.left_out)}")
        return found

    def _checked(self, *names: str) -> Plan:
        """:raises Refused: see `_plan`, and `Plan.check`."""
        self._plan.check(names)
        return self._plan

    def stack(self) -> Stack:
        return self._plan.stack

    def containers(self) -> list[Container]:
        return watch.containers(self.c, self._plan) if self._installed() else []

    def config(self) -> None:
        if not self._installed():
            self._install()
        process.run(self.c, lines.compose(self.state, "config"), cwd=self.here.root)

    def build(self, names: Sequence[str], *, no_cache: bool = False, pull: bool = False) -> None:
        _say(
            "nothing to build: without containers there is no image; `up` installs the packages when their lock changes"
        )

    def up(self, names: Sequence[str], *, build: bool = False, wait: bool = True) -> None:
        if build:
            _say("`--build` has no effect: without containers there is no image to build")
        self._install()
        found = self._checked(*names)
        chosen = found.with_needs(names or [program.service for program in found.programs])
        for program in chosen:
            if program.unmounted:
                _say(f"{program.service} is without what only containers mount: {', '.join(program.unmounted)}")
        if self.c.config.run.dry:
            process.run(self.c, lines.start_supervisor(self.state), cwd=self.here.root)
            process.run(self.c, lines.control(self.state, "start", *control.words(chosen)), cwd=self.here.root)
            return
        try:
            with state.locked(self.state):
                control.start(self.c, found, chosen)
            watch.wait(self.c, found, chosen, healthy=wait)
        except KeyboardInterrupt:
            # The services go on starting.
            raise Refused("", code=process.INTERRUPTED) from None
        for file in self.state.in_memory().values():
            _say(messages.notice(file))

    def stop(self, names: Sequence[str], *, yes: bool = False) -> None:
        if self._installed():
            self._stop("stop", self._checked(*names).of(names), names, yes=yes)

    def leave(self, names: Sequence[str]) -> None:
        found, in_memory = self._checked(*names), self.state.in_memory()
        chosen, kept = [], []
        for program in found.of(names):
            file = in_memory.get(program.service)
            if file and (sentence := messages.said(file, program.service)):
                line = f"{self.here.command()} stop {program.service} --yes"
                kept.append(f"{sentence}: it goes on running; type `{line}` to throw that away")
            else:
                chosen.append(program)
        self._stop("stop", chosen, names, yes=True)
        for sentence in kept:
            _say(sentence)

    def restart(self, names: Sequence[str], *, yes: bool = False) -> None:
        if not self.c.config.run.dry and not supervisor.answers(self.state):
            raise Refused(f"nothing runs here: type `{self.here.command()} up`")
        chosen = [program for program in self._checked(*names).of(names) if not program.once]
        self._stop("restart", chosen, names, yes=yes)
        if chosen:
            line = lines.control(self.state, "start", *control.words(chosen))
            process.run(self.c, line, cwd=self.here.root)

    def down(self, *, volumes: bool = False, yes: bool = False) -> None:
        self._shut_down(yes=yes)
        if not self.c.config.run.dry:
            # As with containers, what was printed goes with them.
            for folder in (self.state.run, self.state.logs, *[self.state.data] * volumes):
                shutil.rmtree(folder, ignore_errors=True)

    def logs(self, names: Sequence[str], *, follow: bool = False, tail: str | None = None) -> None:
        if tail is not None and tail != "all" and not re.fullmatch("[0-9]+", tail):
            raise Refused(f"`--tail` takes a number of lines or `all`, not `{tail}`")
        if self._installed():
            shown = self._checked(*names).of(names)
            line = lines.tail(self.state, shown, follow=follow, lines=None if tail == "all" else tail)
            if line:
                process.run(self.c, line, cwd=self.here.root)

    def ps(self, names: Sequence[str]) -> None:
        if not supervisor.answers(self.state) and (found := control.strays(self.state)):
            _say(f"there is {found}: type `{self.here.command()} up`, or `down`")
        if self._installed():
            found_here = self._checked(*names)
            shown = [one for one in self.containers() if not names or one.service in names]
            print(ps.table(found_here.stack, shown))

    def exec(self, service: str, command: Sequence[str], *, user: str | None = None, stdio: Stdio = OURS) -> None:
        self._check_running(service)
        self._enter(service, command, user=user, stdio=stdio)

    def read(self, service: str, command: Sequence[str]) -> CompletedProcess[str]:
        self._check_running(service)
        return process.capture(self.c, lines.enter(self.state, service, command), cwd=self.here.root)

    def run(self, service: str, command: Sequence[str], *, user: str | None = None, mounts: Sequence[str] = ()) -> None:
        if mounts:
            raise Refused("without containers nothing can be mounted: type BERTH_ENGINE=docker in front of the command")
        self._enter(service, command, user=user)

    def _enter(self, service: str, command: Sequence[str], *, user: str | None, stdio: Stdio = OURS) -> None:
        program = self._checked(service).program(service)
        if user == project.caller() and (os.geteuid() != 0 or program.privileged):
            user = None  # it runs as that anyway
        if user and os.geteuid() != 0:
            raise Refused(f"without containers only root can run a command as `{user}`: leave `--user` out")
        if not self.c.config.run.dry and not (self.state.services / f"{service}.json").exists():
            files.write(self._plan)
        process.run(self.c, lines.enter(self.state, service, command, user=user), cwd=self.here.root, stdio=stdio)

    def _check_running(self, service: str) -> None:
        found = self._checked(service)
        if not self.c.config.run.dry and service not in watch.running(found):
            raise Refused(f"service `{service}` is not running: type `{self.here.command()} up {service}`")

    def _installed(self) -> bool:
        return install.is_there(self.here, self.state)

    def _install(self) -> None:
        """Bring up to date what the services run on.

        :raises Refused: see `install.update`; and in a dry run, where what comes next depends on it.
        """
        dry = self.c.config.run.dry
        install.check(self.here, self.state)
        if not dry:
            self.state = state.make(self.here)
        install.update(self.c, self.here, self.state, stop=self._stop_for_installation)
        if dry and not self._installed():
            raise Refused("what comes next depends on what would be installed", code=0)

    def _stop_for_installation(self) -> None:
        if self.c.config.run.dry or not (supervisor.answers(self.state) or control.strays(self.state)):
            return
        _say("the services are stopped first, as what they run on is to change")
        if self._installed():
            self._shut_down(yes=False)
            return
        messages.check(self.state, self.state.in_memory(), f"{self.here.command()} down")
        # Nothing is there any more to ask the supervisor with.
        control.end_strays(self.state)

    def _servers(self) -> list[Path]:
        """Return the folders of the commands that the wheels of servers hold: PostgreSQL's, the newest, and Java's."""
        library = next(self.state.tools.glob("lib/python*/site-packages"), self.state.tools)
        newest = sorted(library.glob("*/pginstall*/bin"))[-1:]
        return [*newest, *library.glob("*/java-runtime/bin")]

    def _stop(self, task: str, chosen: Collection[Program], names: Sequence[str], *, yes: bool) -> None:
        """:raises Refused: messages would be lost, and that was not said to be all right."""
        if not yes and not self.c.config.run.dry:
            line = " ".join([self.here.command(), task, *names])
            messages.check(self.state, [program.service for program in chosen], line)
        if self.c.config.run.dry:
            control.stop(self.c, self._plan, list(chosen))
            return
        with state.locked(self.state):
            control.stop(self.c, self._plan, list(chosen))

    def _shut_down(self, *, yes: bool) -> None:
        """Stop everything, with the supervisor.

        :raises Refused: messages would be lost, and that was not said to be all right.
        """
        dry, in_memory = self.c.config.run.dry, self.state.in_memory()
        if not yes and not dry:
            messages.check(self.state, in_memory, f"{self.here.command()} down")
        if supervisor.answers(self.state):
            if dry:
                control.shut_down(self.c, self._plan)
                return
            with state.locked(self.state):
                control.shut_down(self.c, self._plan)
        elif not dry and not control.end_strays(self.state):
            _say("nothing runs here")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
