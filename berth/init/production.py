"""Write what `inv prod.up` and `inv deploy` lay over the compose file of a project, for the services that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from berth import template
from berth.init.compose import block
from berth.init.plan import Plan, Variable

PROD, SWARM, TLS = (f"docker-compose.{name}.yml" for name in ("prod", "swarm", "tls"))
HEAD = """\
# Laid over docker-compose.yml by `inv prod.up` and `inv deploy`: the image that is shipped, with its own code, user and
# settings.

services:
  migrate: &baked
    user: "10001:10001"
    volumes: !reset []
    read_only: true
    tmpfs: [/tmp]
    environment: &prod-environment
"""
APP = """\

  app:
    <<: *baked
    command: [start-prod-server.sh]
    environment:
      <<: *prod-environment
      FORWARDED_ALLOW_IPS:
      WEB_CONCURRENCY:
      GUNICORN_THREADS:
      GUNICORN_TIMEOUT:
      GUNICORN_GRACEFUL_TIMEOUT:
      GUNICORN_MAX_REQUESTS:
      GUNICORN_ACCESS_LOG:
      DRAIN_SECONDS:
"""
SERVER = ("FORWARDED_ALLOW_IPS", "WEB_CONCURRENCY", "GUNICORN_THREADS", "GUNICORN_TIMEOUT", "GUNICORN_GRACEFUL_TIMEOUT",
          "GUNICORN_MAX_REQUESTS", "GUNICORN_ACCESS_LOG", "DRAIN_SECONDS", "REGISTRY")  # fmt: skip
TELEMETRY = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SERVICE_NAME",
             "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG")  # fmt: skip
DEPLOYMENT = ("DEPLOY_COMPOSE_FILE", "DEPLOY_ENV_FILE", "UNSAFE_MIGRATIONS", "DEPLOY_NAME", "APP_REPLICAS",
              "HTTP_PUBLISHED_PORT", "HTTPS_PUBLISHED_PORT", "TLS_FILE", "BALANCER_IMAGE")  # fmt: skip

SWITCHES = re.compile(r"(^|_)DEBUG$|SSL_REDIRECT")
"""Variables that the development services are given a value of that production must not have."""
OPPOSITES = {"true": "false", "1": "0", "yes": "no", "on": "off", "t": "f", "y": "n"}
OPPOSITES |= {no: yes for yes, no in OPPOSITES.items()}


def files(plan: Plan) -> dict[str, str]:
    """Return the files, by path below the project's root."""
    own = {str(each.path): each.source for each in template.files()}
    found = {plan.path(PROD): _prod(plan), plan.path(TLS): own[f"docker/{TLS}"].read_text(encoding="utf-8")}
    found[plan.path(SWARM)] = _swarm(plan, own[f"docker/{SWARM}"].read_text(encoding="utf-8"))
    for path, source in own.items():
        if path.startswith("docker/balancer/"):
            found[plan.path(path.removeprefix("docker/"))] = source.read_text(encoding="utf-8")
    return found


def paragraphs(plan: Plan, own: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Give sections of `.env.template`, each with its paragraphs.

    :param own: the paragraphs of Berth's own template, by variable.
    """
    settings = f"# Settings of the image that is shipped.\n# PROD_SETTINGS_MODULE={plan.prod_settings}\n"
    yield "The server of the shipped image", [settings, *(own[name] for name in (*SERVER, *TELEMETRY))]
    deployment = {name: own[name] for name in DEPLOYMENT}
    # Where the folder is another one, the default of `inv deploy` would not be found.
    if plan.folder != "docker":
        moved = own["DEPLOY_COMPOSE_FILE"].replace("# DEPLOY_COMPOSE_FILE", "DEPLOY_COMPOSE_FILE")
        deployment["DEPLOY_COMPOSE_FILE"] = moved.replace("docker/", f"{plan.folder}/")
    yield "Deployment", list(deployment.values())


def _prod(plan: Plan) -> str:
    settings = f"      DJANGO_SETTINGS_MODULE: ${{PROD_SETTINGS_MODULE:-{plan.prod_settings}}}\n"
    switched = "".join(f"      {name}: {value}\n" for name, value in _switched(plan.variables))
    text = HEAD + settings + switched + "      UNSAFE_MIGRATIONS: ${UNSAFE_MIGRATIONS:-refuse}\n"
    text += "".join(f"      {name}:\n" for name in TELEMETRY) + APP
    for worker in plan.workers:
        text += f"\n  {worker.name}:\n    <<: *baked\n"
        if worker.kind in {"celery", "beat"}:
            text += "    environment:\n      <<: *prod-environment\n      WORKER_RELOAD: 0\n"
    return text


def _switched(variables: tuple[Variable, ...]) -> Iterator[tuple[str, str]]:
    """Give the variables that are one thing in development and the opposite in production, with that."""
    for variable in variables:
        given = re.fullmatch(r"\$\{\w+:-(\w+)\}", variable.compose or "")
        if given and SWITCHES.search(variable.name.upper()) and (other := OPPOSITES.get(given[1].lower())):
            shaped = other.capitalize() if given[1][0].isupper() else other
            yield variable.name, f'"{shaped}"'


def _swarm(plan: Plan, own: str) -> str:
    """Return the overlay of a deployment: Berth's own, with the services of the project.

    :param own: the text of Berth's.
    """
    head, _, _ = own.partition("  db:\n")
    parts = [f"  {each.name}:\n    ports: !reset []\n    deploy: {{replicas: 0}}\n" for each in plan.services]
    if not parts:
        head = re.sub(r"  # .*\n", "", head)
    head = re.sub(
        r"  # Database and broker are .*\n.*\n",
        "  # These are elsewhere: name them in the variables that the services read. One with 0 replicas is no part\n"
        "  # of the stack.\n",
        head,
    )
    separate = "\n" * bool(parts)
    parts.append(separate + block(own, "app").rstrip() + "\n")
    parts += [f"\n  {worker.name}:\n    volumes: !reset []\n" for worker in plan.workers]
    balancer = block(own, "balancer").replace("HEALTH_PATH:-/status/ready/", f"HEALTH_PATH:-{plan.health_path}")
    return head + "".join(parts) + f"\n{balancer}\nconfigs:" + own.partition("\nconfigs:")[2]
