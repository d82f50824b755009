"""The stacks that the tests share; each is removed at the end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from containers.checkout import Checkout, checkout


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
