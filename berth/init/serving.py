"""Decide which servers and workers the project needs besides its web server."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from berth.init.databases import Choice
from berth.init.plan import Service, ServiceKind, Variable, Worker
from berth.init.reading import place, table, text, words
from berth.inspect import Fact, Facts

IMAGES = {
    "db": re.compile(r"postg|postgis|pgvector|timescale|pgauto"),
    "redis": re.compile(r"redis|valkey|keydb|dragonfly"),
    "rabbitmq": re.compile(r"rabbit"),
}
NAMES = {"db": "db", "redis": "redis", "rabbitmq": "rabbitmq", "sqs": "broker"}
EXTENSION_IMAGES = {"postgis": "postgis/postgis:{}-3.5", "vector": "pgvector/pgvector:pg{}"}
"""Extensions that upstream's image has not; the owner of a database may make the others of the list by itself, or
Berth's set-up does."""
RABBITMQ_URL = "amqp://${RABBITMQ_USER:-app}:${RABBITMQ_PASSWORD}@rabbitmq:5672//"
NEWEST = "18"
HOST = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9-_]*[A-Za-z0-9])?$")


@dataclass(frozen=True)
class Serving:
    """Servers, workers, and the variables that lead the project to the servers."""

    services: tuple[Service, ...]
    workers: tuple[Worker, ...]
    variables: tuple[Variable, ...]
    celery_app: str
    remarks: tuple[str, ...]


def decide(facts: Facts, database: Choice) -> Serving:
    """Return what the project needs besides its web server."""
    kinds, broker = _kinds(facts), text(table(facts.value("celery.broker")).get("kind"))
    services = [_database(facts, database)] if database.kind == "postgresql" else []
    services += [_service(facts, kind, broker) for kind in ("redis", "rabbitmq", "sqs") if kind in kinds]
    variables = dict[str, Variable]()
    for variable in _variables(facts, broker):
        variables.setdefault(variable.name, variable)
    workers, remarks = _workers(facts)
    remarks = (*remarks, *(_unreached(facts) if database.rung != "settings" else ()))
    celery = table(facts.value("celery"))
    return Serving(tuple(services), workers, tuple(variables.values()), text(celery.get("application")), remarks)


def _kinds(facts: Facts) -> set[str]:
    """Return the kinds of servers, apart from the database."""
    found = {text(table(facts.value("celery.broker")).get("kind"))}
    for name in ("caches", "channels"):
        found |= set(words(table(facts.value(name)).get("kinds"))) & {"redis", "rabbitmq"}
    found |= _queue_servers(facts)
    if _sample_of_redis(facts):
        found.add("redis")
    return found & {"redis", "rabbitmq", "sqs"}


def _queue_servers(facts: Facts) -> set[str]:
    """Return the kinds of servers that keep queues other than Celery's."""
    return {text(fact.value) for fact in facts.family("queue_server")}


def _sample_of_redis(facts: Facts) -> bool:
    return any(
        text(table(fact.value).get("sample")).startswith(("redis://", "rediss://")) for fact in facts.family("variable")
    )


def _database(facts: Facts, database: Choice) -> Service:
    said = str(facts.value("postgres.version") or "")
    version = said if said.isdigit() and 13 <= int(said) <= int(NEWEST) else NEWEST
    extensions = tuple(fact.name.rpartition(".")[2] for fact in facts.family("postgres.extension"))
    image = next((name for extension, name in EXTENSION_IMAGES.items() if extension in extensions), "postgres:{}")
    aliases = {*_aliases(facts, "db"), database.alias} - {"", "db"}
    return Service("db", "db", image.format(version), extensions, tuple(sorted(aliases)))


def _service(facts: Facts, kind: str, broker: str) -> Service:
    images = {"redis": "valkey/valkey:8-alpine", "rabbitmq": "rabbitmq:4", "sqs": "softwaremill/elasticmq:1.7.1"}
    kinds: dict[str, ServiceKind] = {"redis": "redis", "rabbitmq": "rabbitmq", "sqs": "sqs"}
    name = NAMES[kind]
    aliases = tuple(sorted(_aliases(facts, kind) - {name}))
    has_queues = broker == kind or kind in _queue_servers(facts)
    return Service(kinds[kind], name, images[kind], aliases=aliases, volatile=kind == "redis" and not has_queues)


def _aliases(facts: Facts, kind: str) -> set[str]:
    """Return the host names by which the project's own compose files know a kind of server."""
    pattern = IMAGES.get(kind)
    found = set()
    for fact in facts:
        value = table(fact.value)
        if fact.name == "service_image" and pattern and pattern.search(text(value.get("image"))):
            found.add(text(value.get("service")))
    return {each for each in found if HOST.match(each)} - {"app", "migrate", "db", "redis", "rabbitmq", "broker"}


def _variables(facts: Facts, broker: str) -> Iterator[Variable]:
    names = [*words(table(facts.value("celery.broker")).get("variables"))]
    for name in names:
        if broker == "rabbitmq":
            yield from _rabbitmq(name)
        elif broker == "redis":
            yield from _redis(facts, name)
    for setting in ("caches", "channels"):
        value = table(facts.value(setting))
        if "redis" in words(value.get("kinds")):
            for name in words(value.get("variables")):
                yield from _redis(facts, name)
    for fact in facts.family("variable"):
        sample = text(table(fact.value).get("sample"))
        if sample.startswith(("redis://", "rediss://")) or re.match(r"REDIS_(\w+_)?(HOST|PORT|URL)$", fact.name[9:]):
            yield from _redis(facts, fact.name[9:])
    if broker == "redis":
        yield Variable("CELERY_BROKER_URL", "redis://redis:6379/0", build="redis://redis:6379/0", why="Celery reads it")
    elif broker == "rabbitmq":
        yield from _rabbitmq("CELERY_BROKER_URL")


def _redis(facts: Facts, name: str) -> Iterator[Variable]:
    """Give a variable that leads to Redis its value; its names say which part of the address it is."""
    known = table(facts.value(f"variable.{name}"))
    sample = text(known.get("sample")) or str(known.get("default") or "")
    upper = name.upper()
    value = None
    if upper.endswith("HOST") or upper.endswith("HOSTNAME"):
        value = "redis"
    elif upper.endswith("PORT"):
        value = "6379"
    elif "://" in sample or re.search(r"(URL|URI|LOCATION|BROKER|BACKEND|DSN)$", upper):
        number = re.search(r"://[^/]*/(\d+)", sample)
        bare = "BASE" in upper
        value = "redis://redis:6379" + ("" if bare else f"/{number[1] if number else 0}")
    if value is not None and "VCAP" not in upper:
        yield Variable(name, value, build=value, why="leads to the service `redis`")


def _rabbitmq(name: str) -> Iterator[Variable]:
    upper = name.upper()
    value = None
    if re.search(r"HOST(NAME)?$", upper):
        value = "rabbitmq"
    elif upper.endswith("PORT"):
        value = "5672"
    elif re.search(r"USER(NAME)?$", upper):
        value = "${RABBITMQ_USER:-app}"
    elif re.search(r"PASS(WORD)?$", upper):
        value = "${RABBITMQ_PASSWORD}"
    elif re.search(r"VHOST$", upper):
        value = "/"
    elif re.search(r"URL|URI|BROKER|DSN", upper) and "DATABASE" not in upper:
        value = RABBITMQ_URL
    if value is not None:
        build = value.replace("${RABBITMQ_USER:-app}", "app").replace("${RABBITMQ_PASSWORD}", "none")
        yield Variable(name, value, build=build, why="leads to the service `rabbitmq`")


def _unreached(facts: Facts) -> Iterator[str]:
    """Name the settings that look for Redis where in a container there is none, and what to write in their place."""
    for name, setting, key in (("caches", "CACHES", "LOCATION"), ("channels", "CHANNEL_LAYERS", "hosts")):
        if table(facts.value(name)).get("local"):
            yield (
                f"{place(facts.get(name))}: {setting} looks for Redis at localhost, where no container has it, and no "
                f'variable leads elsewhere: let {key} read one, as os.environ.get("REDIS_URL", "redis://localhost:6379"'
                f"), and type `berth upgrade`"
            )


def _workers(facts: Facts) -> tuple[tuple[Worker, ...], tuple[str, ...]]:
    workers: list[Worker] = []
    remarks: list[str] = []
    application = text(table(facts.value("celery")).get("application"))
    if application:
        queues = dict.fromkeys(words(table(facts.value("celery")).get("queues")))
        workers.append(Worker("worker", "celery", tuple(queues), place(facts.get("celery"))))
        if beat := facts.get("celery.beat"):
            workers.append(Worker("beat", "beat", _beat(facts, beat), place(beat)))
    elif (celery := facts.get("celery")) and celery.value is None and celery.origin.line and celery.why:
        remarks.append(f"{celery.origin}: no worker of Celery runs: {celery.why}")
    for fact in facts.family("worker"):
        command = text(fact.value)
        if re.search(r"\bcelery\b", command):
            if "flower" in command:
                remarks.append(f"{place(fact)}: flower is left out; its command is `{command}`")
            continue
        if words_of := _manage_command(command):
            name = re.sub("[^a-z0-9-]+", "-", fact.name.partition(".")[2].lower()).strip("-")
            workers.append(Worker(f"worker-{name}", "other", words_of, place(fact)))
        elif not re.search(r"celery|flower|beat", fact.name):
            remarks.append(f"{place(fact)}: the worker `{command}` is left out, as it is no command of manage.py")
    return tuple({worker.name: worker for worker in workers}.values()), tuple(remarks)


def _beat(facts: Facts, beat: Fact) -> tuple[str, ...]:
    scheduler = re.search(r"(--scheduler|-S)[ =](\S+)", text(beat.value))
    if scheduler:
        return ("--scheduler", scheduler[2].strip("'\""))
    return ("--scheduler", "django_celery_beat.schedulers:DatabaseScheduler") * bool(
        facts.get("package.django-celery-beat")
    )


def _manage_command(command: str) -> tuple[str, ...]:
    """Return the part of a command that manage.py runs, or nothing."""
    found = re.search(r"(?:manage\.py|-m manage|django-admin)\s+([a-z_]\w*[^|&;\"']*)", command)
    if not found or found[1].split()[0] in {"migrate", "runserver", "collectstatic"}:
        return ()
    try:
        return ("python", "manage.py", *shlex.split(found[1]))
    except ValueError:
        return ()
