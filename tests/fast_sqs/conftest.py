"""Brokers of their own, and a Celery application on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqs_shop import Broker, Shop, elasticmq_command, free_port, moto_command, unavailable


@pytest.fixture(scope="session", params=["elasticmq", "moto"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Each of both servers."""
    for module in ("pycurl", "boto3", "celery"):
        try:
            __import__(module)
        except ImportError:
            unavailable(f"{module} is not installed")
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    command = {"elasticmq": elasticmq_command, "moto": moto_command}[request.param](port, folder)
    made = Broker(port, command, folder / "log", keeps=request.param == "elasticmq")
    yield made
    made.stop()


@pytest.fixture
def shop(broker: Broker, tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Return a function that makes a shop of a visibility timeout (s) and a number of receives."""
    shops: list[Shop] = []

    def make(visibility: int = 30, receives: int = 5) -> Shop:
        shops.append(Shop(broker, tmp_path, visibility, receives))
        return shops[-1]

    yield make
    for made in shops:
        for worker in made.workers:
            made.kill(worker)
