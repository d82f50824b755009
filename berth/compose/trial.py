"""Describe the stack in which the image that is shipped is tried on this machine, beside the one of development."""

from __future__ import annotations

import os
from collections.abc import Sequence

from berth.compose import release

OVERLAY = "docker-compose.prod.yml"
SMOKE_TEST = ["smoke-test"]
"""docker/app/smoke_test.py, by its name in the image."""


def variables(compose_files: Sequence[str], *, project_name: str, image: str) -> dict[str, str]:
    """Return the variables that turn a project's Compose configuration into that of the image that is shipped.

    :param image: the name of that image.
    """
    folder = os.path.dirname(compose_files[0])
    overlay = os.path.join(folder, OVERLAY)
    return {
        # Compose looks for .env beside the first file as soon as COMPOSE_FILE does not come from .env itself.
        "COMPOSE_ENV_FILES": ".env",
        "COMPOSE_FILE": os.pathsep.join([*compose_files, *[overlay] * (overlay not in compose_files)]),
        "COMPOSE_PROJECT_NAME": f"{project_name}-prod",
        "BUILD_TARGET": release.TARGET,
        "APP_IMAGE": image,
        # By chance, so that it runs beside anything.
        **dict.fromkeys(("APP_PUBLISHED_PORT", "DB_PUBLISHED_PORT", "BROKER_PUBLISHED_PORT"), "0"),
        # Whoever asks here stands for the proxy that opens TLS.
        "USE_X_FORWARDED_PROTO": "true",
    }
