"""The throw-away stacks that tests run in."""

from __future__ import annotations

import re

import pytest

from berth.compose import throwaway
from berth.errors import Refused


@pytest.mark.parametrize(("image", "stage"), [("dev", "dev"), ("test", "test"), ("dev-django-6.1", "dev")])
def test_image_is_built_from_its_stage(image: str, stage: str) -> None:
    assert throwaway.stage(image) == stage


@pytest.mark.parametrize("image", ["", "prod", "test-django-6.1", "developer", "Dev"])
def test_other_images_are_refused(image: str) -> None:
    message = f"no image `{image}` to test in: type `--image dev` or `--image test`"
    with pytest.raises(Refused, match=f"^{re.escape(message)}$"):
        throwaway.stage(image)


@pytest.mark.parametrize(
    ("image", "variables"),
    [
        (
            "dev",
            {
                "COMPOSE_ENV_FILES": ".env",
                "COMPOSE_FILE": "docker/docker-compose.yml:more.yml:docker/docker-compose.test.yml",
                "COMPOSE_PROJECT_NAME": "shop-test-dev-7",
                "BUILD_TARGET": "dev",
                "APP_IMAGE": "shop-app:dev",
            },
        ),
        (
            "test",
            {
                "COMPOSE_ENV_FILES": ".env",
                "COMPOSE_FILE": "docker/docker-compose.yml:more.yml:docker/docker-compose.test.yml"
                ":docker/docker-compose.prod.yml",
                "COMPOSE_PROJECT_NAME": "shop-test-test-7",
                "BUILD_TARGET": "test",
                "APP_IMAGE": "shop-app:test",
            },
        ),
        (
            "dev-django-6.1",
            {
                "COMPOSE_ENV_FILES": ".env",
                "COMPOSE_FILE": "docker/docker-compose.yml:more.yml:docker/docker-compose.test.yml",
                "COMPOSE_PROJECT_NAME": "shop-test-dev-django-6-1-7",
                "BUILD_TARGET": "dev",
                "APP_IMAGE": "shop-app:dev-django-6.1",
                "DEV_LOCK": "dev-django-6.1",
            },
        ),
    ],
)
def test_variables_describe_a_stack_of_its_own(image: str, variables: dict[str, str]) -> None:
    files = ["docker/docker-compose.yml", "more.yml"]
    assert throwaway.variables(files, project_name="shop", image=image, run="7") == variables


def test_overlays_lie_beside_the_first_file() -> None:
    assert throwaway.overlays("docker-compose.yml", "dev") == ["docker-compose.test.yml"]
    assert throwaway.overlays("a/b/docker-compose.yml", "test") == [
        "a/b/docker-compose.test.yml",
        "a/b/docker-compose.prod.yml",
    ]


def test_pytest_leaves_its_reports_outside() -> None:
    assert throwaway.pytest("dev", ["-k", "a or b"]) == [
        "pytest",
        "--junitxml=/reports/junit-dev.xml",
        "--cov",
        "--cov-report=xml:/reports/coverage-dev.xml",
        "-k",
        "a or b",
    ]
