"""Files that commands write into the checkout belong to whoever typed the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from containers.checkout import checkout, ok

pytestmark = [pytest.mark.containers, pytest.mark.usefixtures("engine")]


def owners(path: Path) -> set[str]:
    """Return `uid:gid` of a file, or of a folder and all that it holds."""
    return {f"{found.stat().st_uid}:{found.stat().st_gid}" for found in [path, *path.rglob("*")]}


@pytest.mark.parametrize("user", ["1000:1000", "1234:20"])
def test_files_that_commands_write_belong_to_the_caller(user: str) -> None:
    with checkout(user) as made:
        made.prepare()
        ok(made.inv("manage", "startapp", "while_down"))
        ok(made.inv("up"))
        ok(made.inv("manage", "startapp", "while_up"))
        ok(made.inv("exec-as-host", "app", "touch", "touched"))
        ok(made.inv("exec", "app", "mkdir", "by_the_service"))
        for name in ("while_down", "while_up", "touched", "by_the_service"):
            assert owners(made.root / "app" / name) == {user}, name
        assert owners(made.root / ".env") == {user}
