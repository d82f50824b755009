"""Take the database to another major version of PostgreSQL, and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from invoke import Context, task

from berth import engines
from berth.arguments import Task
from berth.engines import Engine
from berth.errors import Refused
from berth.tasks import database as databases
from berth.tasks import dumps

if TYPE_CHECKING:
    from berth.engines.docker.engine import Docker

IMAGE, VOLUME, BEFORE = "POSTGRES_IMAGE", "POSTGRES_VOLUME", "POSTGRES_BEFORE_UPGRADE"
"""Variables of `.env`: the server's image; its volume; both of them, as they were before the last upgrade."""
RECIPE = "postgres"
"""The base image that can be built of several versions."""

_LEFT_BEHIND = """
SELECT 'the database ' || datname FROM pg_database
WHERE NOT datistemplate AND datname <> 'postgres' AND datname <> :'database' AND NOT starts_with(datname, 'unfinished:')
UNION ALL SELECT 'the setting ' || setting FROM pg_db_role_setting, unnest(setconfig) AS setting
"""


@task(
    klass=Task,
    help={
        "old_image": "The image that made the data, where its name is not the new one's but for the version.",
        "rollback": "Go back to the server and the volume of before; what was written since stays in a dump.",
    },
)
def upgrade(c: Context, old_image: str = "", rollback: bool = False) -> None:
    """Take the data to the major version of POSTGRES_IMAGE, into a new volume; the old one stays as it is."""
    from berth.engines.docker.engine import Docker

    engine = engines.choose(c)
    if not isinstance(engine, Docker):
        raise Refused(
            "without containers there is one PostgreSQL only, that of Berth: type `db.dump` with the Berth that made "
            "the data, and `db.load` with this one; or BERTH_ENGINE=docker in front of the command"
        )
    if rollback:
        _roll_back(engine)
    else:
        _upgrade(engine, old_image)


def _upgrade(engine: Docker, old_image: str) -> None:
    stack, command = engine.stack(), engine.here.command()
    database = stack.with_role("database")
    image, volume = str(stack.definition(database)["image"]), _volume(engine)
    data, server = majors(engine, database)
    _check(data, server, image)
    before = old_image or _of_major(image, server, data)
    engine.stop([*stack.dependents(database), database])
    old = engine.under({IMAGE: before})
    print(f"the data is of PostgreSQL {data}, the server of {image} is {server}: it is dumped with {before}")
    _start(old, database, before, data)
    _name_what_stays(old, database, volume)
    target = dumps.new_file(engine)
    dumps.write(old, database, "dump", target)
    old.stop([database])
    made = engine.free_volume(f"postgres_data-{server}")
    new = engine.under({VOLUME: made})
    new.up([database])
    dumps.put(new, database, target, snapshot=False, again=None)
    _write(engine, {IMAGE: image, VOLUME: made, BEFORE: f"{before},{volume}"})
    engine.under({}).up([])
    print(f"the database is on PostgreSQL {server}, in the volume {_name(engine, made)}")
    print(_stays(engine, volume))
    print(f"to get it back as it was: {command} db.upgrade --rollback")


def _roll_back(engine: Docker) -> None:
    stack = engine.stack()
    database = stack.with_role("database")
    image, volume = str(stack.definition(database)["image"]), _volume(engine)
    known = _value(engine, BEFORE).rpartition(",")[::2]
    if not all(known):
        raise Refused(f"{BEFORE} in .env names no image and volume: there was no upgrade to go back from")
    databases.service(engine)
    if dependents := stack.dependents(database):
        engine.stop(dependents)
    dumps.write(engine, database, "dump", dumps.new_file(engine))
    engine.stop([database])
    _write(engine, {IMAGE: known[0], VOLUME: known[1], BEFORE: f"{image},{volume}"})
    engine.under({}).up([])
    print(f"the database is as it was before the upgrade, on {known[0]}")
    print(_stays(engine, volume))


def majors(engine: Docker, database: str) -> tuple[int, int]:
    """Return the major versions of the data, 0 where there is none, and of the server.

    :raises Refused: the image cannot say so.
    """
    line = 'cat "$PGDATA/PG_VERSION" 2>/dev/null || echo 0; postgres --version'
    answer = engine.read_alone(database, ["bash", "-c", line])
    found = re.search(r"^(\d+)\n.* (\d+)", answer.stdout, re.M)
    if answer.returncode != 0 or not found:
        raise Refused(f"the service {database} cannot say of which version its data is: {answer.stderr.strip()}")
    return int(found[1]), int(found[2])


def _check(data: int, server: int, image: str) -> None:
    if data == 0:
        raise Refused("there is no data yet, and nothing to upgrade: type `up`")
    if data == server:
        raise Refused(
            f"the data is of PostgreSQL {data}, as {image} is: write another image into {IMAGE} of .env first"
        )
    if data > server:
        raise Refused(
            f"the data is of PostgreSQL {data}, and {image} is {server}, which is older: write a newer image into "
            f"{IMAGE} of .env, or type `db.upgrade --rollback` to go back to what was before an upgrade"
        )


def _of_major(image: str, server: int, data: int) -> str:
    """Return the name of the image for another major version.

    :raises Refused: the name does not say of which it is.
    """
    name, _, tag = image.rpartition(":")
    changed = re.sub(rf"^{server}(?!\d)(?:\.\d+)?", str(data), tag)
    if not name or changed == tag:
        raise Refused(f"the name {image} does not tell that of PostgreSQL {data}: type `db.upgrade --old-image IMAGE`")
    return f"{name}:{changed}"


def _start(old: Docker, database: str, image: str, data: int) -> None:
    try:
        old.up([database])
    except Refused as refused:
        command = old.here.command()
        raise Refused(
            f"{refused.message}\n\nthe server that made the data did not start from {image}; the data is as it was. Is "
            f"there no such image? Type `{command} db.upgrade --old-image IMAGE`, or build one: `{command} images.base "
            f"{RECIPE}:{data}`",
            code=refused.code,
        ) from None


def _name_what_stays(old: Docker, database: str, volume: str) -> None:
    """Say what a dump of the application's database does not hold."""
    name = old.stack().environment(database).get("DB_NAME", "")
    # psql knows its variables in what it reads, not in an argument.
    line = 'printf %s "$1" | inspect-db.sh superuser -qAtX --set "database=$2"'
    for one in databases.ask(old, database, ["bash", "-c", line, "bash", _LEFT_BEHIND, name]).splitlines():
        print(f"stays behind in the volume {_name(old, volume)}: {one}")


def _volume(engine: Engine) -> str:
    return _value(engine, VOLUME) or "postgres_data"


def _name(engine: Engine, volume: str) -> str:
    return f"{engine.stack().project_name}_{volume}"


def _stays(engine: Engine, volume: str) -> str:
    name = _name(engine, volume)
    return f"the volume {name} stays as it is, until you delete it: `docker volume rm {name}`"


def _value(engine: Engine, name: str) -> str:
    from berth.env import prepare

    return prepare.value(engine.here, name)


def _write(engine: Engine, values: dict[str, str]) -> None:
    """Write all of them into `.env` at once: a moment before all is as it was, a moment later all is new."""
    from berth import env

    if not engine.c.config.run.dry:
        path = engine.here.env_file
        env.replace(path, env.with_values(env.read_text(path), values))
