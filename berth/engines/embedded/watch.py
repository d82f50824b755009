"""Watch the services: which run, whether they are healthy, and wait until they are."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence

from invoke import Context

from berth import process
from berth.compose.ps import Container
from berth.engines.embedded import lines, supervisor
from berth.engines.embedded.plan import Plan
from berth.engines.embedded.programs import Program
from berth.errors import Refused

PAUSE_S = 0.1
LOG_LINES = 20
RUNNING = "RUNNING"


def wait(c: Context, plan: Plan, chosen: Sequence[Program], *, healthy: bool) -> None:
    """Wait until services are healthy, or have done their work.

    :param healthy: false: wait for servers to take commands only, and for no work to be done.
    :raises Refused: one failed, or takes too long.
    """
    waiting = [program for program in chosen if healthy or not program.once]
    began: dict[str, float] = {}
    starts: dict[str, set[int]] = {}
    while waiting:
        found = {one.name: one for one in processes(plan)}
        for program in list(waiting):
            several = _several(program, found)
            if _has_ended(plan, program, several, starts):
                waiting.remove(program)
            elif not any(other.service in program.waits for other in waiting):
                # A service has its time from when it may start, however long others take before it.
                limit = began.setdefault(program.service, time.monotonic()) + program.patience
                if _is_well(c, plan, program, several, healthy=healthy, limit=limit):
                    waiting.remove(program)
        if waiting:
            time.sleep(PAUSE_S)


def _several(program: Program, found: Mapping[str, supervisor.Process]) -> list[supervisor.Process]:
    """:raises Refused: another command stops the service meanwhile."""
    several = [found[name] for name in program.processes if name in found]
    if len(several) < program.replicas or any(one.state == "STOPPED" for one in several):
        raise Refused(f"{program.service} was stopped by another command")
    return several


def _has_ended(
    plan: Plan, program: Program, several: Sequence[supervisor.Process], starts: dict[str, set[int]]
) -> bool:
    """Tell whether a service has done its work.

    :param starts: takes when each process was started.
    :raises Refused: it failed.
    """
    for one in several:
        starts.setdefault(one.name, set()).add(one.started)
    if program.once and all(one.state == "EXITED" for one in several):
        if code := next((one.exit_code for one in several if one.exit_code), 0):
            raise Refused(_failure(plan, program, f"it exited with code {code}", ""))
        return True
    # By the second, in which there may have been several.
    if any(one.state == "FATAL" or len(starts[one.name]) > 2 for one in several) and not program.once:
        raise Refused(_failure(plan, program, "it ends again and again", ""))
    return False


def _is_well(
    c: Context,
    plan: Plan,
    program: Program,
    several: Sequence[supervisor.Process],
    *,
    healthy: bool,
    limit: float,
) -> bool:
    """:raises Refused: it should have been by now."""
    if program.once:
        return False
    said = _complaint(c, plan, program, program.health if healthy else program.ready)
    if said is None and all(one.state == RUNNING for one in several):
        return True
    if time.monotonic() > limit:
        raise Refused(_failure(plan, program, "it is unhealthy", said or ""))
    return False


def _complaint(c: Context, plan: Plan, program: Program, check: Sequence[str]) -> str | None:
    """Return what a check of a service says; None: all is well."""
    for name in program.processes if check else []:
        line = lines.enter(plan.state, program.service, check, process=name)
        answer = process.capture(c, line, cwd=plan.state.root)
        if answer.returncode != 0:
            return f"{answer.stdout}{answer.stderr}".strip()
    return None


def _failure(plan: Plan, program: Program, what: str, said: str) -> str:
    told = [f"{program.service} failed: {what}"]
    if said:
        told.append(f"its health check says: {said}")
    told.append(f"its last lines (`{plan.command} logs {program.service}` shows all):")
    for name in program.processes:
        with contextlib.suppress(FileNotFoundError):
            text = (plan.state.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            told += text.splitlines()[-LOG_LINES:]
    return "\n".join(told)


def processes(plan: Plan) -> list[supervisor.Process]:
    """:raises Refused: the supervisor has ended, or hangs."""
    try:
        return supervisor.processes(plan.state.socket)
    except OSError:
        log = plan.state.short(plan.state.logs / "supervisord.log")
        raise Refused(f"the supervisor does not answer: see {log}, and type `{plan.command} up`") from None


def running(plan: Plan) -> set[str]:
    """Return the services that run, with all their processes."""
    return {service for service, found in states(plan).items() if found == {RUNNING}}


def states(plan: Plan) -> dict[str, set[str]]:
    states: dict[str, set[str]] = {}
    for one in processes(plan) if supervisor.answers(plan.state) else []:
        states.setdefault(one.service, set()).add(one.state)
    return states


def containers(c: Context, plan: Plan) -> list[Container]:
    """Return the processes in the words of containers."""
    known = {program.service: program for program in plan.programs}
    listed = processes(plan) if supervisor.answers(plan.state) else []
    return [
        _container(c, plan, known[one.service], one)
        for one in sorted(listed, key=lambda one: (one.service, one.name))
        if one.started and one.service in known
    ]


def _container(c: Context, plan: Plan, program: Program, one: supervisor.Process) -> Container:
    health = ""
    if one.state == RUNNING and program.health:
        young = time.time() < one.started + program.start_period
        well = _complaint(c, plan, program, program.health) is None
        health = "healthy" if well else "starting" if young else "unhealthy"
    state = "running" if one.state == RUNNING else "exited"
    return Container(service=one.service, name=one.name, state=state, health=health, exit_code=one.exit_code)
