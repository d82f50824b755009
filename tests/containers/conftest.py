"""The stacks that the tests share; each is removed at the end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest
from containers.checkout import Checkout, checkout, docker, ok


class Stack(Checkout):
    """A running checkout; its first `up` is kept."""

    first_up: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def stack(engine: None) -> Iterator[Stack]:
    """A clean copy after `inv images.base` and `inv up`; tests leave it running."""
    with checkout() as made:
        made.__class__ = Stack
        made.prepare()
        made.first_up = made.inv("up")
        yield made


@pytest.fixture(scope="session")
def prod_image(stack: Stack) -> str:
    """The image that is shipped, as `inv build --prod` makes it."""
    ok(stack.inv("build", "--prod"))
    return f"{stack.name}-app:prod"


@pytest.fixture
def shipped(stack: Stack, prod_image: str) -> Iterator[Callable[..., str]]:
    """Start containers of the image that is shipped beside the stack, on its database and broker."""
    made: list[str] = []

    def start(*command: str, options: tuple[str, ...] = (), **variables: str) -> str:
        settings = production(stack) | variables
        words = [word for name, value in settings.items() for word in ("--env", f"{name}={value}")]
        network = ["--network", f"{stack.name}_default"]
        made.append(
            docker("run", "--detach", "--init", *network, *words, *options, prod_image, *command).stdout.strip()
        )
        return made[-1]

    yield start
    for container in made:
        docker("rm", "--force", container)


def production(stack: Stack) -> dict[str, str]:
    """Return the environment in which the shipped image serves, beside the development stack."""
    names = ("SECRET_KEY", "DB_NAME", "DB_USER", "DB_PASSWORD", "CELERY_BROKER_URL", "SQS_QUEUE_URLS")
    return {
        **{name: stack.value(name) for name in names},
        "DJANGO_SETTINGS_MODULE": "app.settings.prod",
        "ALLOWED_HOSTS": "shop.example.com",
        "USE_X_FORWARDED_PROTO": "true",
        "DB_HOST": "db",
        "CELERY_APP": "app",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "WEB_CONCURRENCY": "1",
    }
