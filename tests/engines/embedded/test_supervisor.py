"""The lines that drive the supervisor, where it is asked, and what it reads."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from berth.engines.embedded import lines, state, supervisor
from berth.engines.embedded.state import State
from berth.errors import Refused
from berth.project import Project

STATE = State(Path("/project"), Path("/project/.berth/embedded"))


def test_lines_can_be_typed_in_the_root_of_the_project() -> None:
    start = [".berth/embedded/tools/bin/supervisord", "-c", ".berth/embedded/supervisord.conf"]
    assert lines.start_supervisor(STATE) == start
    assert lines.control(STATE, "stop", "app", "worker:worker-1") == [
        ".berth/embedded/tools/bin/supervisorctl",
        "-c",
        ".berth/embedded/supervisord.conf",
        "stop",
        "app",
        "worker:worker-1",
    ]


def test_a_state_that_lies_elsewhere_is_named_by_its_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".berth").mkdir()
    (tmp_path / ".berth" / "embedded").symlink_to(tmp_path / "elsewhere")
    found = state.of(Project(tmp_path))
    assert found.folder == tmp_path / "elsewhere"
    assert lines.start_supervisor(found)[-1] == ".berth/embedded/supervisord.conf"


def long(name: str) -> State:
    folder = Path(f"/{name}") / ("long" * 30)
    return State(folder, folder / ".berth/embedded")


def test_the_socket_leaves_a_checkout_whose_path_is_too_long_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert STATE.socket == Path("/project/.berth/embedded/run/supervisor.sock")
    before = long("project").socket
    assert before.parent == Path(f"/tmp/berth-{os.geteuid()}")
    assert before != long("other").socket
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    assert long("project").socket == before


@pytest.mark.parametrize("kind", ["open", "link"])
def test_a_folder_for_sockets_that_is_not_ours_alone_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "berth-1"
    (tmp_path / "theirs").mkdir(mode=0o700)
    if kind == "link":
        folder.symlink_to(tmp_path / "theirs")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(Refused, match=r"is not yours alone: remove it, and repeat the command$"):
        state.make_private(folder)


def test_a_folder_for_sockets_is_made_for_its_owner(tmp_path: Path) -> None:
    for _ in range(2):
        state.make_private(tmp_path / "berth-1")
    assert stat.S_IMODE((tmp_path / "berth-1").stat().st_mode) == 0o700


def test_only_a_socket_that_somebody_listens_at_answers(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not supervisor.listens(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert supervisor.listens(path)
    assert path.exists()
    assert not supervisor.listens(path)
