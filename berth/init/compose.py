"""Write the compose file of a project: the services that it uses and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from berth.init.image import python_image
from berth.init.plan import CODE, Plan, Service, Variable, Worker
from berth.init.variables import INSIST

HEAD = """\
# Every service of the development stack. `inv up`, or plain `docker compose up` from the project's root:
# COMPOSE_FILE in {env_file} leads here, and every ${{VARIABLE}} is explained in {env_template}.
#
# A label tells Berth what a service is for: `berth.role: app` has manage.py, `berth.role: database` answers to
# `reset-db.sh`. Other services need no label.

x-app: &app
  image: ${{APP_IMAGE:-${{COMPOSE_PROJECT_NAME:?set it in {env_file}, or type inv up}}-app:${{BUILD_TARGET:-dev}}}}
  # The caller's ids, so that what the server writes into the checkout belongs to the caller.
  user: "${{HOST_UID:-10001}}:${{HOST_GID:-10001}}"
  # Built once, by the service `app`; no registry has it.
  pull_policy: never
  init: true
  restart: unless-stopped
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  working_dir: {workdir}
  volumes:
    - {{type: bind, source: .., target: {code}}}
    # Hides the passwords of the stack from the project.
    - {{type: bind, source: /dev/null, target: {code}/{env_file}, read_only: true}}
  environment: &app-environment
"""
BUILD = """\
    build:
      context: ..
      dockerfile: {folder}/app/Dockerfile
      target: ${{BUILD_TARGET:-dev}}
      args:
        PYTHON_IMAGE: ${{PYTHON_IMAGE:-{python}}}
        REVISION: ${{BUILD_REVISION:-unknown}}
        VERSION: ${{BUILD_VERSION:-}}
        CREATED: ${{BUILD_CREATED:-}}
        SOURCE: ${{BUILD_SOURCE:-}}
      secrets: [ca_bundle, pip_conf, uv_toml]
"""
HEALTH = """\
    healthcheck: &healthcheck
      test: [CMD, check-http.sh]
      interval: 10s
      timeout: 5s
      retries: 3
      start_period: 120s
      start_interval: 250ms
"""
SECRETS = """\
# For the builds of the images only; empty unless {env_file} names a file.
secrets:
  ca_bundle:
    file: ${{BUILD_CA_BUNDLE:-/dev/null}}
  pip_conf:
    file: ${{BUILD_PIP_CONF:-/dev/null}}
  uv_toml:
    file: ${{BUILD_UV_TOML:-/dev/null}}
"""
VOLUMES = {"db": "postgres_data", "sqs": "broker_data", "redis": "redis_data", "rabbitmq": "rabbitmq_data"}


def text(plan: Plan, template: str, blocks: Mapping[str, str]) -> str:
    """Return the compose file.

    :param template: that of Berth's own repository, which has the blocks of `db` and of the SQS broker.
    :param blocks: those of all other servers, by the name of the service.
    """
    env_file, env_template = plan.env_file, plan.env_template
    parts = [HEAD.format(env_file=env_file, env_template=env_template, workdir=plan.workdir, code=CODE)]
    parts.append("".join(f"    {line}\n" for line in _environment(plan)) + "\nservices:\n")
    services = [_server(each, template, blocks, env_file) for each in plan.services]
    services += [_migrate(plan), _app(plan), *(_worker(plan, each) for each in plan.workers)]
    parts.append("\n".join(services))
    if names := [VOLUMES[each.kind] for each in plan.services if not each.volatile]:
        parts.append("\nvolumes:\n" + "".join(f"  {name}:\n" for name in names))
    parts.append("\n" + SECRETS.format(env_file=env_file))
    return "".join(parts)


def _environment(plan: Plan) -> Iterator[str]:
    insist = INSIST.replace(".env", plan.env_file)
    yield f"DJANGO_SETTINGS_MODULE: ${{DJANGO_SETTINGS_MODULE:-{plan.settings}}}"
    if plan.configuration:
        yield f"DJANGO_CONFIGURATION: ${{DJANGO_CONFIGURATION:-{plan.configuration}}}"
    if plan.import_paths:
        paths = [str(CODE / path) for path in plan.import_paths]
        yield f"PYTHONPATH: {':'.join(paths)}"
    if plan.service("db"):
        yield "# Where the services wait for the database."
        yield "DB_HOST: ${DB_HOST-db}"
        yield "DB_PORT: ${DB_PORT:-5432}"
        yield from (f"{name}: ${{{name}{insist}" for name in ("DB_NAME", "DB_USER", "DB_PASSWORD"))
        yield "DB_WAIT_TIMEOUT: ${DB_WAIT_TIMEOUT:-60}"
    if plan.celery_app:
        yield f"CELERY_APP: ${{CELERY_APP:-{plan.celery_app}}}"
    said = [each for each in plan.variables if each.compose is not None]
    if said:
        yield "# What the settings of the project read."
    for variable in said:
        if variable.name not in {"DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "CELERY_APP"}:
            yield f"{variable.name}: {_value(variable).replace(INSIST, insist)}"
    passed = [each for each in plan.variables if each.compose is None]
    if passed:
        yield f"# Without a value here: passed on when {plan.env_file} sets it; else the project's own default holds."
    yield from (f"{variable.name}:" for variable in passed)


def _value(variable: Variable) -> str:
    """Return a value as YAML that Compose reads as this text."""
    value = variable.compose or ""
    if re.fullmatch(r"\$\{[^{}]*\}", value) and not re.search(r": |#", value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _server(service: Service, template: str, blocks: Mapping[str, str], env_file: str) -> str:
    if service.kind not in {"db", "sqs"}:
        return blocks[service.name]
    found = block(template, service.name).replace("./inv", "inv").replace("in .env,", f"in {env_file},")
    if service.kind == "db":
        version = re.search(r":(?:pg)?(\d+)", service.image)
        found = found.replace("${POSTGRES_IMAGE:-postgres:18}", f"${{POSTGRES_IMAGE:-{service.image}}}")
        found = found.replace("/var/lib/postgresql/18/", f"/var/lib/postgresql/{version[1] if version else 18}/")
    return with_aliases(found, service)


def with_aliases(found: str, service: Service) -> str:
    """Return the block of a service that other host names lead to as well, such as the project's own compose files
    give it."""
    if not service.aliases:
        return found
    names = ", ".join(service.aliases)
    return f"{found.rstrip()}\n    networks:\n      default: {{aliases: [{names}]}}\n"


def block(template: str, name: str) -> str:
    """Return the text of one service of a compose file, without the empty lines behind it.

    :raises KeyError: it has none of that name.
    """
    found = re.search(rf"^  {re.escape(name)}:\n(?:(?:    .*)?\n)+", template, re.M)
    if not found:
        raise KeyError(name)
    return found[0].rstrip("\n") + "\n"


def _migrate(plan: Plan) -> str:
    waits = ["      db: {condition: service_started}"] if plan.service("db") else []
    lines = [
        "  # Applies the migrations and ends; the others wait for it, so that they never meet a missing table.",
        "  migrate:",
        "    <<: *app",
        "    command: [migrate.sh]",
        '    restart: "no"',
        *(["    depends_on:"] if waits else []),
        *waits,
    ]
    return "\n".join(lines) + "\n"


def _depends(plan: Plan) -> str:
    lines = [f"      {each.name}: {{condition: service_healthy}}" for each in plan.services]
    lines.append("      migrate: {condition: service_completed_successfully}")
    return "    depends_on:\n" + "\n".join(lines) + "\n"


def _app(plan: Plan) -> str:
    return (
        "  app:\n    <<: *app\n"
        + BUILD.format(folder=plan.folder, python=python_image(plan.python))
        + "    labels: {berth.role: app}\n    command: [start-dev-server.sh]\n    stop_grace_period: 35s\n"
        + _depends(plan)
        + "    environment:\n      <<: *app-environment\n"
        + f"      HEALTH_PATH: ${{HEALTH_PATH:-{plan.health_path}}}\n"
        + f"      HEALTH_HOST: {plan.health_host}\n" * bool(plan.health_host)
        + "    ports:\n"
        + '      - {target: 8000, published: "${APP_PUBLISHED_PORT:-8000}", host_ip: 127.0.0.1, app_protocol: http}\n'
        + HEALTH
    )


def _worker(plan: Plan, worker: Worker) -> str:
    is_celery = worker.kind in {"celery", "beat"}
    replicas = "    deploy:\n      replicas: ${WORKER_REPLICAS:-1}\n" if worker.kind == "celery" else ""
    # What is no Celery has no check; a disabled one fails `up --wait` of Compose 2.26.
    environment = health = ""
    if is_celery:
        environment = "    environment:\n      <<: *app-environment\n      WORKER_RELOAD: ${WORKER_RELOAD:-1}\n"
        test = "      test: [CMD, check-worker.sh]\n      interval: 15s\n      retries: 2\n"
        health = f"    healthcheck:\n      <<: *healthcheck\n{test}"
    command = ", ".join(map(_word, _command(worker)))
    return (
        f"  # {worker.why}\n  {worker.name}:\n    <<: *app\n    command: [{command}]\n"
        + "    stop_grace_period: 40s\n"
        + replicas
        + _depends(plan)
        + environment
        + health
    )


def _command(worker: Worker) -> tuple[str, ...]:
    if worker.kind == "celery":
        return ("start-celery-worker.sh", *worker.command)
    if worker.kind == "beat":
        return ("start-celery-beat.sh", *worker.command)
    return worker.command


def _word(word: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./-]+", word) and not re.fullmatch(
        r"-?[0-9.]+|y|n|yes|no|on|off|true|false|~", word, re.I
    ):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'
