"""Name and describe the throw-away stacks that tests run in."""

from __future__ import annotations

from collections.abc import Sequence

IMAGES = ("dev", "test")
SERVICE = "test"


def environment(compose_files: Sequence[str], *, project_name: str, image: str, run: str) -> dict[str, str]:
    """Return the variables that turn a project's Compose configuration into a throw-away one.

    :param image: the stage of the Dockerfile to test in, one of `IMAGES`.
    :param run: what tells this run from others at the same time.
    """
    return {
        "COMPOSE_FILE": ":".join([*compose_files, *overlays(compose_files[0], image)]),
        "COMPOSE_PROJECT_NAME": f"{project_name}-test-{image}-{run}",
        "BUILD_TARGET": image,
        # The project's own image, so that layers and names are shared with `inv build`.
        "APP_IMAGE": f"{project_name}-app:{image}",
    }


def overlays(compose_file: str, image: str) -> list[str]:
    """Return the overlays beside ``compose_file``: without ports, and for the shipped image without bind mounts."""
    folder = compose_file.rpartition("/")[0]
    names = ["docker-compose.test.yml"] if image == "dev" else ["docker-compose.test.yml", "docker-compose.prod.yml"]
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
