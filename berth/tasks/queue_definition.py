"""Hold the broker and Celery to the one definition of the queues."""

from __future__ import annotations

from typing import Any

from invoke import Context, task

from berth import engines, project
from berth.arguments import Task
from berth.engines import Engine
from berth.errors import Refused
from berth.project import Project
from berth.tasks import database as databases
from berth.tasks import queue_service as services


@task(klass=Task, help={"check": "Write nothing; fail if it would."})
def config(c: Context, check: bool = False) -> None:
    """Write the broker's configuration from queues.toml."""
    from berth.queues import definition, elasticmq

    here = project.current(c)
    file, before = here.broker / elasticmq.CONF, _read(here, elasticmq.CONF)
    after = elasticmq.written(before, definition.parse(_read(here, definition.FILE)).values())
    name = file.relative_to(here.root)
    if before == after:
        print(f"{name} is as {definition.FILE} says")
    elif check:
        raise Refused(f"{name} is not as {definition.FILE} says: type `{here.command()} queue.config`")
    elif not c.config.run.dry:
        file.write_text(after, encoding="utf-8")
        print(f"wrote {name}; type `{here.command()} restart broker` for the broker to read it")


@task(klass=Task, help={"create": "Make the queues that are not there; those that are stay as they are."})
def check(c: Context, create: bool = False) -> None:
    """Compare queues.toml with the broker's configuration, SQS_QUEUE_URLS, and what the server has."""
    from berth.queues import definition, differences, elasticmq

    engine = engines.choose(c)
    here = engine.here
    queues = definition.parse(_read(here, definition.FILE))
    service = services.running(engine)
    if create:
        for queue in differences.missing(queues, _described(engine, service, list(queues))):
            engine.exec(service, services.creation(queue))
    found = []
    conf = _read(here, elasticmq.CONF)
    if elasticmq.written(conf, queues.values()) != conf:
        found.append(f"{elasticmq.CONF} is older than {definition.FILE}: type `{here.command()} queue.config`")
    urls = engine.stack().environment(service).get("SQS_QUEUE_URLS", "")
    found += differences.of_urls(queues, differences.parse_urls(urls))
    if not c.config.run.dry:
        found += differences.of_server(queues, _described(engine, service, list(queues)))
    if found:
        raise Refused("\n".join(found))
    print(f"all is as {definition.FILE} says: {', '.join(queues)}")


def _described(engine: Engine, service: str, names: list[str]) -> list[dict[str, Any]]:
    import json

    answer = databases.ask(engine, service, [services.SCRIPT, "describe", "--", *names])
    found: list[dict[str, Any]] = json.loads(answer or "[]")
    return found


def _read(here: Project, name: str) -> str:
    """
    :raises Refused: there is no such file.
    """
    file = here.broker / name
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(
            f"{file.relative_to(here.root)} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
