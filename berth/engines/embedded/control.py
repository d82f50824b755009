"""Start and stop services, each in its order. The caller has the lock."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from invoke import Context

from berth import process
from berth.compose import taken
from berth.compose.config import Stack
from berth.engines.embedded import files, leftovers, lines, messages, programs, supervisor, watch
from berth.engines.embedded.plan import Plan
from berth.engines.embedded.programs import Program
from berth.engines.embedded.state import State
from berth.errors import Refused


def start(c: Context, plan: Plan, chosen: Sequence[Program]) -> None:
    """Start services as they are to run now, those that run otherwise anew.

    :raises Refused: a port is taken, or messages would be lost.
    """
    state = plan.state
    settle(plan)
    answers = supervisor.answers(state)
    if answers:
        changing = [program.service for program in plan.programs if files.differs(state, program)]
        for service in changing:
            messages.check(state, [service], f"{plan.command} stop {service}")
    else:
        end_strays(state)
    changed = files.write(plan)
    if not answers:
        _check_ports(c, plan, chosen)
        process.run(c, lines.start_supervisor(state), cwd=state.root)
    elif changed:
        process.run(c, lines.control(state, "update"), cwd=state.root)
    already = watch.running(plan)
    todo = [program for program in chosen if program.service not in already]
    if answers:
        _check_ports(c, plan, todo)
    for program in todo:
        (state.run / f"{program.service}.done").unlink(missing_ok=True)
    if todo:
        process.run(c, lines.control(state, "start", *words(todo)), cwd=state.root)


def settle(plan: Plan) -> None:
    """End what a task that was killed on its way still does to the services, and let those end that it has stopped."""
    leftovers.end(leftovers.commands(plan.state.folder))
    deadline = time.monotonic() + max((program.grace for program in plan.programs), default=0)
    while supervisor.answers(plan.state) and time.monotonic() < deadline:
        if all(one.state != "STOPPING" for one in watch.processes(plan)):
            return
        time.sleep(watch.PAUSE_S)


def strays(state: State) -> str:
    """Return what runs although no supervisor of this checkout can be asked, for a message; nothing: nothing does."""
    supervisors = leftovers.supervisors(state.root, state.short(state.supervisor))
    services = leftovers.find(state.folder)
    if supervisors:
        return f"a supervisor whose files were deleted: {leftovers.named([*supervisors, *services])}"
    return f"what a killed supervisor has left: {leftovers.named(services)}" if services else ""


def end_strays(state: State) -> bool:
    """End what runs although no supervisor can be asked, and say so; tell whether there was anything."""
    found = strays(state)
    if found:
        print(f"ends {found}", file=sys.stderr)
    for service, file in state.in_memory().items():
        if found and (sentence := messages.said(file, service)):
            print(f"{sentence}: with it goes what is queued", file=sys.stderr)
    leftovers.kill(leftovers.supervisors(state.root, state.short(state.supervisor)))
    leftovers.end(leftovers.find(state.folder))
    return bool(found)


def stop(c: Context, plan: Plan, chosen: Sequence[Program]) -> None:
    """Stop services, each before those it depends on."""
    alive = {program.service for program in chosen} if c.config.run.dry else _alive(plan)
    for wave in plan.waves(chosen):
        if stopped := words([program for program in wave if program.service in alive]):
            process.run(c, lines.control(plan.state, "stop", *stopped), cwd=plan.state.root)


def shut_down(c: Context, plan: Plan) -> None:
    """Stop all services, and the supervisor.

    :raises Refused: it does not end.
    """
    state = plan.state
    if not c.config.run.dry:
        settle(plan)
    stop(c, plan, plan.programs)
    pid = 0 if c.config.run.dry else supervisor.pid(state.socket)
    process.run(c, lines.control(state, "shutdown"), cwd=state.root)
    if c.config.run.dry:
        return
    if not leftovers.wait_for_end(pid, leftovers.LIMIT_S):
        raise Refused(f"the supervisor (pid {pid}) does not end: type `kill -9 {pid}`, then repeat the command")
    leftovers.end(leftovers.find(state.folder))


def words(chosen: Sequence[Program]) -> list[str]:
    return [word for program in chosen for word in program.words]


def _alive(plan: Plan) -> set[str]:
    """Return the services of which any process runs, or is to be started again."""
    return {service for service, found in watch.states(plan).items() if not found <= {"STOPPED", "EXITED", "FATAL"}}


def _check_ports(c: Context, plan: Plan, chosen: Sequence[Program]) -> None:
    """:raises Refused: something else listens where a service is to; all such ports are named."""

    def written() -> Stack | None:
        line = lines.compose(plan.state, "config", "--no-interpolate", "--format", "json")
        answer = process.capture(c, line, cwd=plan.state.root)
        return Stack(answer.stdout) if answer.returncode == 0 else None

    names = [program.service for program in chosen]
    if sentences := taken.report(plan.stack, names, written, host=programs.HOST):
        raise Refused("\n".join(sentences))
