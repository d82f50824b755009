"""The lines that drive the supervisor, and where it is asked."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

from berth import supervisor
from berth.project import Project, State


def test_lines_can_be_typed_in_the_root_of_the_project() -> None:
    here = Project(Path("/project"))
    assert supervisor.start_supervisor(here) == [".berth/tools/bin/supervisord", "-c", ".berth/supervisord.conf"]
    assert supervisor.control(here, "stop", "app", "worker:worker-1") == [
        ".berth/tools/bin/supervisorctl",
        "-c",
        ".berth/supervisord.conf",
        "stop",
        "app",
        "worker:worker-1",
    ]


def test_a_state_that_lies_elsewhere_is_named_by_its_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".berth").symlink_to(tmp_path / "elsewhere")
    here = Project(tmp_path)
    assert here.state.folder == tmp_path / "elsewhere"
    assert supervisor.start_supervisor(here)[-1] == ".berth/supervisord.conf"


def test_the_socket_leaves_a_checkout_whose_path_is_too_long_for_one() -> None:
    short, long = State(Path("/project/.berth")), State(Path("/project") / ("long" * 30) / ".berth")
    assert supervisor.socket(short) == Path("/project/.berth/run/supervisor.sock")
    assert supervisor.socket(long).parent == Path(tempfile.gettempdir())
    assert supervisor.socket(long) != supervisor.socket(State(Path("/other") / ("long" * 30) / ".berth"))


def test_only_a_socket_that_somebody_listens_at_answers(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not supervisor.answers(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert supervisor.answers(path)
    assert path.exists()
    assert not supervisor.answers(path)
