"""Look into the queues, and move what is in them."""

from __future__ import annotations

import shlex
from typing import Any

from invoke import Collection, Context, task

from berth import engines
from berth.arguments import NamesTask, Task
from berth.engines import Engine
from berth.errors import Refused
from berth.tasks import database as databases
from berth.tasks import queue_definition
from berth.tasks import queue_service as services

SCRIPT = services.SCRIPT
YES = {"yes": "Do not ask."}
QUEUE = {"queue": "Its name; the project's only one if there is no other."}


@task(
    klass=Task,
    name="list",
    default=True,
    help={"json": "Print JSON, a line each time.", "watch": "Show them every two seconds, until Ctrl-C."},
)
def list_(c: Context, json: bool = False, watch: bool = False) -> None:
    """List the queues: what waits, is in flight or delayed, how old it is at most, and the dead letters."""
    engine = engines.choose(c)
    engine.exec(services.running(engine), [SCRIPT, "list", *["--json"] * json, *["--watch"] * watch])


@task(
    klass=NamesTask,
    iterable=["queue"],
    help={**QUEUE, "limit": "The most messages to show.", "json": "Print JSON.", **YES},
)
def peek(c: Context, queue: list[str], limit: int = 10, json: bool = False, yes: bool = False) -> None:
    """Show the tasks that wait in a queue; SQS counts a look as a delivery: `inv queue.peek [QUEUE]`."""
    engine = engines.choose(c)
    service = services.running(engine)
    name = _one(engine, service, "queue.peek", queue)
    found = _described(engine, service, name)
    if found.get("max_receives") and found["visible"]:
        databases.check_somebody_is_there(
            engine, f"queue.peek {shlex.quote(name)}", yes=yes, does="counts as a delivery"
        )
        databases.consent(
            engine,
            f"SQS shows a message by delivering it, and each of `{name}` gets {found['max_receives']} deliveries; one "
            "that would be a dead letter at the next is sent anew. Look?",
            yes=yes,
            done="nothing was looked at",
        )
    engine.exec(service, [SCRIPT, "peek", "--limit", str(limit), *["--json"] * json, "--", name])


@task(
    klass=NamesTask,
    iterable=["name"],
    help={
        "name": "The task, as the worker knows it.",
        "queue": "The queue; the project's only one if there is no other.",
        "args": "Arguments, a JSON array.",
        "kwargs": "Named arguments, a JSON object.",
        "countdown": "Seconds before which no worker runs it.",
    },
)
def send(
    c: Context, name: list[str], queue: str = "", args: str = "[]", kwargs: str = "{}", countdown: int = 0
) -> None:
    """Publish a task, and print its id: `inv queue.send TASK --args '[1]'`."""
    engine = engines.choose(c)
    if len(name) != 1:
        raise Refused(f"`queue.send` takes one task: type `{engine.here.command()} queue.send TASK --args '[1]'`")
    service = services.running(engine)
    target = _one(engine, service, "queue.send TASK --queue", [queue] if queue else [])
    options = ["--queue", target, f"--args={args}", f"--kwargs={kwargs}", f"--countdown={countdown}"]
    engine.exec(service, [SCRIPT, "send", *options, "--", name[0]])


@task(klass=NamesTask, iterable=["queue"], help={"queue": "Its name.", **YES})
def purge(c: Context, queue: list[str], yes: bool = False) -> None:
    """Delete all messages of a queue; asks first: `inv queue.purge QUEUE`."""
    engine = engines.choose(c)
    if len(queue) != 1:
        raise Refused(f"`queue.purge` takes one queue: type `{engine.here.command()} queue.purge QUEUE`")
    name = queue[0]
    databases.check_somebody_is_there(engine, f"queue.purge {shlex.quote(name)}", yes=yes)
    service = services.running(engine)
    found = _described(engine, service, name)
    databases.consent(
        engine,
        f"Delete {found.get('total', 0)} messages of the queue `{name}` for good ({found.get('visible', 0)} waiting, "
        f"{found.get('in_flight', 0)} in flight, {found.get('delayed', 0)} delayed)?",
        yes=yes,
    )
    engine.exec(service, [SCRIPT, "purge", "--", name])


@task(
    klass=NamesTask,
    iterable=["name"],
    help={
        "name": "The queue of dead letters, then ids of messages or tasks; all of them without one.",
        "to": "The queue to send to, if not the one that they come from.",
        "rate": "Messages a second; 0: no limit.",
    },
)
def redrive(c: Context, name: list[str], to: str = "", rate: int = 0) -> None:
    """Send dead letters back to where they come from: `inv queue.redrive QUEUE [ID...]`."""
    engine = engines.choose(c)
    if not name or rate < 0:
        raise Refused(
            f"`queue.redrive` takes a queue of dead letters, and a rate from 0: type `{engine.here.command()} "
            "queue.redrive QUEUE`"
        )
    options = [*(["--to", to] if to else []), f"--rate={rate}"]
    engine.exec(services.running(engine), [SCRIPT, "redrive", *options, "--", *name])


def _one(engine: Engine, service: str, words: str, given: list[str]) -> str:
    """Return the queue that was named, or the only one.

    :param words: what to type in front of its name.
    """
    urls = engine.stack().environment(service).get("SQS_QUEUE_URLS", "")
    names = given or [part.partition("=")[0].strip() for part in urls.split(",") if part.strip()]
    if len(names) == 1:
        return names[0]
    choices = f": there are {', '.join(names)}" if not given and names else ""
    raise Refused(f"name one queue{choices}; type `{engine.here.command()} {words} QUEUE`")


def _described(engine: Engine, service: str, name: str) -> dict[str, Any]:
    """Return what the server says of a queue; nothing in a dry run.

    :raises Refused: there is none of that name.
    """
    import json

    answer = engine.read(service, [SCRIPT, "list", "--json"])
    if not answer.stdout.strip():
        if engine.c.config.run.dry:
            return {}
        raise Refused(databases.complaint(engine, service, [SCRIPT], answer), code=answer.returncode or 1)
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    for queue in found:
        if queue["name"] == name:
            if queue["problem"]:
                raise Refused(queue["problem"])
            return queue
    raise Refused(f"no queue is called `{name}`: there are {', '.join(queue['name'] for queue in found) or 'none'}")


namespace = Collection(list_, peek, send, purge, redrive, queue_definition.config, queue_definition.check)
