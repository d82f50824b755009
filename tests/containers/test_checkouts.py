"""A checkout and what is not its own: the containers of another one, taken ports, images older than their lock."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest
from containers.checkout import Checkout, checkout, docker, ok
from containers.conftest import Stack

pytestmark = pytest.mark.containers


@pytest.fixture
def other(stack: Stack) -> Iterator[Checkout]:
    """A second checkout with the `.env` of the stack."""
    with checkout() as made:
        made.environment["BERTH_ENGINE"] = "docker"
        shutil.copy(stack.root / ".env", made.root)
        yield made


@pytest.mark.parametrize(
    "words", ["up", "stop", "restart app", "down", "logs app", "exec app true", "manage check", "reset-db --yes"]
)
def test_a_copied_env_does_not_take_over_the_containers_of_the_first(stack: Stack, other: Checkout, words: str) -> None:
    before = ok(stack.compose("ps", "--all", "--quiet")).stdout
    made = other.inv(*words.split())
    assert (made.returncode, made.stdout) == (1, "")
    assert made.stderr == (
        f"the containers of the project `{stack.name}` belong to another checkout, in {stack.root}/docker, whose .env "
        "was copied here: type `./inv env.separate`, which gives this one a name and ports of its own\n"
    )
    assert ok(stack.compose("ps", "--all", "--quiet")).stdout == before


def test_separate_gives_a_copied_env_a_name_and_ports_of_its_own(stack: Stack, other: Checkout) -> None:
    made = ok(other.inv("env.separate"))
    assert other.value("COMPOSE_PROJECT_NAME") == other.name
    assert other.value("DB_PASSWORD") == stack.value("DB_PASSWORD")
    for service in ("APP", "DB", "BROKER", "QUEUES"):
        assert other.port(service) != stack.port(service)
        assert f"{service}_PUBLISHED_PORT={other.port(service)}" in made.stdout
    assert ok(other.inv("down")).returncode == 0


def test_a_checkout_is_not_separated_from_its_own_containers(stack: Stack) -> None:
    before = (stack.root / ".env").read_text()
    made = stack.inv("env.separate")
    assert (made.returncode, made.stderr) == (
        1,
        f"the project `{stack.name}` is this checkout's own, with its data: nothing is to be separated\n",
    )
    assert (stack.root / ".env").read_text() == before


def test_a_checkout_that_was_moved_keeps_its_containers(stack: Stack) -> None:
    moved = stack.root.with_name("moved")
    stack.root.rename(moved)
    try:
        line = [*stack.task("ps"), "app"]
        made = subprocess.run(
            line, cwd=moved, env=stack.environment | {"BERTH_ENGINE": "docker"}, capture_output=True, text=True
        )
    finally:
        moved.rename(stack.root)
    assert made.returncode == 0, made.stderr
    assert f"{stack.name}-app-1" in made.stdout


@pytest.mark.parametrize("form", ["long", "short"])
def test_a_taken_port_is_explained_with_its_holder_and_the_variable(stack: Stack, other: Checkout, form: str) -> None:
    ok(other.inv("env.separate"))
    if form == "short":
        path = other.root / "docker" / "docker-compose.yml"
        long = '{target: 5432, published: "${DB_PUBLISHED_PORT:-5432}", host_ip: 127.0.0.1}'
        text = path.read_text()
        assert long in text
        path.write_text(text.replace(long, '"127.0.0.1:${DB_PUBLISHED_PORT:-5432}:5432"'))
    port = int(other.port("DB"))
    with socket.create_server(("127.0.0.1", port)):
        made = other.inv("up", "db")
    assert made.returncode != 0
    pattern = (
        rf"(?m)^port {port} of 127\.0\.0\.1, for db, is taken by \S+ \(pid {os.getpid()}\): end that, or set "
        r"DB_PUBLISHED_PORT=\d+ in \.env$"
    )
    assert re.search(pattern, made.stderr), made.stderr
    assert "Traceback" not in made.stderr


def test_an_image_older_than_its_lock_is_named_with_what_to_type(stack: Stack) -> None:
    lock = stack.root / "requirements" / "dev.txt"
    before = lock.read_text()
    message = f"the image {stack.name}-app:dev is older than requirements/dev.txt: type `./inv up --build`\n"
    try:
        assert message not in ok(stack.inv("up")).stderr
        lock.write_text(before + "# another line\n")
        assert message in ok(stack.inv("up")).stderr
        assert message not in ok(stack.inv("up", "--build")).stderr
    finally:
        lock.write_text(before)
        ok(stack.inv("up", "--build"))


def test_the_image_that_is_shipped_is_named_after_its_commit(stack: Stack) -> None:
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org", "-C", str(stack.root)]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "First"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout[:12]
    try:
        ok(stack.inv("build", "--prod"))
        label = '{{index .Config.Labels "org.opencontainers.image.revision"}}'
        tagged = f"{stack.name}-app:{commit}"
        assert docker("image", "inspect", "--format", label, tagged).stdout.strip() == commit
        (stack.root / "app" / "more.py").touch()
        ok(stack.inv("build", "--prod"))
        assert docker("image", "inspect", "--format", label, f"{tagged}-dirty").stdout.strip() == f"{commit}-dirty"
    finally:
        (stack.root / "app" / "more.py").unlink(missing_ok=True)
        shutil.rmtree(stack.root / ".git")


@pytest.mark.parametrize("name", ["DB_NAME", "DB_USER", "DB_PASSWORD"])
def test_reset_db_cures_a_database_that_the_application_cannot_log_in_to(stack: Stack, name: str) -> None:
    before = stack.value(name)
    try:
        stack.set(**{name: f"{before}-other"})
        ok(stack.inv("reset-db", "--yes"))
        stack.wait_until_ready()
    finally:
        stack.set(**{name: before})
        ok(stack.inv("reset-db", "--yes"))


def test_a_password_that_the_data_does_not_know_is_explained_and_set(stack: Stack) -> None:
    before = stack.value("DB_PASSWORD")
    try:
        stack.set(DB_PASSWORD="another-password")
        made = stack.inv("up")
        assert made.returncode != 0
        advice = "the data was made with another password: type `./inv db.set-password`, which keeps it, or write the"
        assert advice in made.stderr
        ok(stack.inv("db.set-password"))
        stack.wait_until_ready()
    finally:
        stack.set(DB_PASSWORD=before)
        ok(stack.inv("db.set-password"))
