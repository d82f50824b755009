"""What the tasks write into the checkout belongs to whoever runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers.checkout import Checkout, checkout, docker, ok
from containers.conftest import Stack

pytestmark = pytest.mark.containers

MODEL = "\n\nclass Note(models.Model):\n    text = models.TextField()\n"


def owners(root: Path) -> dict[str, str]:
    """Return who owns each file, as `uid:gid`."""
    found = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        found[str(path.relative_to(root))] = f"{status.st_uid}:{status.st_gid}"
    return found


def foreign(checkout: Checkout, user: str) -> dict[str, str]:
    return {name: owner for name, owner in owners(checkout.root).items() if owner != user}


def write_with_the_stack_up(checkout: Checkout, user: str) -> None:
    models = checkout.root / "app/users/models.py"
    models.write_text(models.read_text() + MODEL)
    made = ok(checkout.inv("manage", "makemigrations", "users"))
    assert f" --user {user} app python manage.py makemigrations users\n" in made.stderr
    ok(checkout.inv("manage", "startapp", "started"))
    for name in ("users/migrations/0002_note.py", "started/models.py", "started/migrations/__init__.py"):
        assert owners(checkout.root)[f"app/{name}"] == user, name


def write_with_the_stack_down(checkout: Checkout, user: str) -> None:
    ok(checkout.inv("down"))
    made = ok(checkout.inv("manage", "startapp", "alone"))
    assert f"run --rm -T --no-deps --user {user} app python manage.py startapp alone\n" in made.stderr
    assert owners(checkout.root)["app/alone/models.py"] == user
    assert owners(checkout.root)["app/alone"] == user


@pytest.fixture(scope="module", params=["1000:1000", "1234:20"])
def other(request: pytest.FixtureRequest, engine: None) -> Iterator[Checkout]:
    """A checkout of another user, who ran `up` in it."""
    if os.geteuid() != 0:
        pytest.skip("only root can become other users")
    with checkout(request.param) as made:
        made.prepare()
        ok(made.inv("up"))
        yield made


def test_up_leaves_nothing_of_another_user_in_the_checkout(other: Checkout) -> None:
    assert other.user
    assert other.get("/").status == 200
    assert foreign(other, other.user) == {}


def test_files_that_another_user_writes_through_manage_are_theirs(other: Checkout) -> None:
    assert other.user
    write_with_the_stack_up(other, other.user)
    ok(other.inv("exec-as-host", "app", "touch", "touched"))
    write_with_the_stack_down(other, other.user)
    assert foreign(other, other.user) == {}


def test_files_that_the_caller_writes_through_manage_are_theirs(stack: Stack) -> None:
    """In CI the caller is root."""
    user = f"{os.getuid()}:{os.getgid()}"
    models = stack.root / "app/users/models.py"
    text = models.read_text()
    try:
        write_with_the_stack_up(stack, user)
        write_with_the_stack_down(stack, user)
        assert foreign(stack, user) == {}
    finally:
        models.write_text(text)
        (stack.root / "app/users/migrations/0002_note.py").unlink(missing_ok=True)
        for name in ("started", "alone"):
            stack.run(["rm", "-rf", f"app/{name}"])
        ok(stack.inv("up"))


@pytest.mark.parametrize("user", ["1000:1000", "1234:20", "501:20", "0:0"])
def test_the_development_image_runs_as_any_user(stack: Stack, user: str) -> None:
    script = (
        "set -e; whoami; id -u; echo $HOME; touch $HOME/x; python -c 'import getpass, pathlib; "
        "print(getpass.getuser(), pathlib.Path.home())'"
    )
    line = ["run", "--rm", "--user", user, "--env", "DB_HOST=", f"{stack.name}-app:dev", "bash", "-c", script]
    name, uid, home, seen = docker(*line).stdout.splitlines()
    assert name
    assert uid == user.split(":")[0]
    assert home == "/home/web"
    assert seen == f"{name} /home/web"
