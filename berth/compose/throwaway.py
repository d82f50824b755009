"""Name and describe the throw-away stacks that tests run in."""

from __future__ import annotations

import os
from collections.abc import Sequence

from berth.errors import Refused

SERVICE = "test"


def stage(image: str) -> str:
    """Return the stage of the Dockerfile that ``image`` is built from.

    :param image: `dev`; `test`, the shipped image with what tests need; or `dev-...`, the first one from another lock.
    :raises Refused: it is none of these.
    """
    found = image.partition("-")[0]
    if found not in {"dev", "test"} or image.startswith("test-"):
        raise Refused(f"no image `{image}` to test in: type `--image dev` or `--image test`")
    return found


def variables(compose_files: Sequence[str], *, project_name: str, image: str, run: str) -> dict[str, str]:
    """Return the variables that turn a project's Compose configuration into a throw-away one.

    :param image: the image to test in, see `stage`.
    :param run: what tells this run from others at the same time.
    """
    target = stage(image)
    return {
        # Compose looks for .env beside the first file as soon as COMPOSE_FILE does not come from .env itself.
        "COMPOSE_ENV_FILES": ".env",
        "COMPOSE_FILE": os.pathsep.join([*compose_files, *overlays(compose_files[0], target)]),
        # Compose allows no dot in it.
        "COMPOSE_PROJECT_NAME": f"{project_name}-test-{image}-{run}".replace(".", "-"),
        "BUILD_TARGET": target,
        # The project's own image, not one of this run: it stays for the next run.
        "APP_IMAGE": f"{project_name}-app:{image}",
        **({"DEV_LOCK": image} if image != target else {}),
    }


def overlays(compose_file: str, target: str) -> list[str]:
    """Return the overlays beside ``compose_file``: without ports, and for the shipped image without bind mounts."""
    folder = compose_file.rpartition("/")[0]
    names = ["docker-compose.test.yml"] if target == "dev" else ["docker-compose.test.yml", "docker-compose.prod.yml"]
    return [f"{folder}/{name}" if folder else name for name in names]


def pytest(image: str, arguments: Sequence[str]) -> list[str]:
    """Return the pytest line that leaves its JUnit and coverage files in /reports."""
    return [
        "pytest",
        f"--junitxml=/reports/junit-{image}.xml",
        "--cov",
        f"--cov-report=xml:/reports/coverage-{image}.xml",
        *arguments,
    ]
