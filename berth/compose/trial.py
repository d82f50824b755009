"""Describe the stack in which the image that is shipped is tried on this machine, beside the one of development."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from berth.compose import release
from berth.compose.config import Stack

OVERLAYS = ("docker-compose.prod.yml", "docker-compose.tls.yml")
SMOKE_TEST = ["smoke-test"]
"""docker/app/smoke_test.py, by its name in the image."""

WORKER = "start-celery-worker.sh"
TLS_PORT, PLAIN_PORT = 8443, 8080
"""Of docker/balancer/haproxy.cfg."""


def overlays(compose_files: Sequence[str]) -> list[str]:
    """Return the compose files that are laid over those of a project."""
    folder = os.path.dirname(compose_files[0])
    return [path for name in OVERLAYS if (path := os.path.join(folder, name)) not in compose_files]


def variables(
    compose_files: Sequence[str], *, project_name: str, image: str, env_file: str, ports: Iterable[str]
) -> dict[str, str]:
    """Return the variables that turn a project's Compose configuration into that of the image that is shipped.

    :param image: the name of that image.
    :param env_file: the name of the project's `.env`.
    :param ports: the variables of ports that are published.
    """
    return {
        # Compose looks for .env beside the first file as soon as COMPOSE_FILE does not come from .env itself.
        "COMPOSE_ENV_FILES": env_file,
        "COMPOSE_FILE": os.pathsep.join([*compose_files, *overlays(compose_files)]),
        "COMPOSE_PROJECT_NAME": f"{project_name}-prod",
        "BUILD_TARGET": release.TARGET,
        "APP_IMAGE": image,
        # By chance, so that it runs beside anything.
        **dict.fromkeys(ports, "0"),
    }


def through(balancer: str) -> list[str]:
    """Return the command that asks through the service ``balancer``."""
    return [*SMOKE_TEST, "--through", f"{balancer}:{TLS_PORT}:{PLAIN_PORT}"]


def task() -> list[str]:
    """Return the command that publishes a task, and prints its id."""
    return [*SMOKE_TEST, "--task"]


def workers(stack: Stack) -> list[str]:
    """Return the services that work on Celery's tasks."""
    return [name for name in stack.names() if (stack.definition(name).get("command") or [""])[0] == WORKER]


def host() -> list[str]:
    """Return the command that prints the host name that the site answers to."""
    return [*SMOKE_TEST, "--host"]
