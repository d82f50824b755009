"""The tasks of the queues: which lines they run, and what they refuse before anything is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Dry = Callable[..., list[str]]
Inv = Callable[..., tuple[int, str, str]]

SCRIPT = "docker compose exec -T queues queues.sh"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["queue"], "list"),
        (["queue.list", "--json", "--watch"], "list --json --watch"),
        (
            ["queue.send", "a.b", "--args", "[1]"],
            "send --queue default '--args=[1]' '--kwargs={}' --countdown=0 -- a.b",
        ),
        (["queue.redrive", "dead", "1", "2", "--rate", "5"], "redrive --rate=5 -- dead 1 2"),
        (["queue.redrive", "dead", "--to", "mail"], "redrive --to mail --rate=0 -- dead"),
        (["queue.purge", "default", "--yes"], "purge -- default"),
        (["queue.peek"], "peek --limit 10 -- default"),
    ],
)
def test_a_task_runs_the_script_in_the_service_of_the_queues(dry: Dry, words: list[str], line: str) -> None:
    # It does not run, so it is started first; its image is not there, so that is built before.
    started = ["docker compose build app", "docker compose up --detach --wait queues"]
    assert dry(*words) == [*started, f"{SCRIPT} {line}"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["queue.purge", "default"],
            "`queue.purge` deletes data and nobody is there to ask: type `./inv queue.purge default --yes`",
        ),
        (["queue.purge", "--yes"], "`queue.purge` takes one queue: type `./inv queue.purge QUEUE`"),
        (["queue.send"], "`queue.send` takes one task: type `./inv queue.send TASK --args '[1]'`"),
        (
            ["queue.redrive"],
            "`queue.redrive` takes a queue of dead letters, and a rate from 0: type `./inv queue.redrive QUEUE`",
        ),
    ],
)
def test_what_is_not_clear_is_refused_before_anything_is_asked(
    engine: None, inv: Inv, words: list[str], message: str
) -> None:
    assert inv(*words) == (1, "", f"{message}\n")


def test_the_brokers_configuration_is_written_from_the_definition(folder: Path, inv: Inv) -> None:
    definition, conf = folder / "docker/broker/queues.toml", folder / "docker/broker/custom.conf"
    before = definition.read_text(), conf.read_text()
    try:
        definition.write_text(before[0] + "\n[mail]\ndelay = 3\n")
        code, _, errors = inv("queue.config", "--check")
        assert (code, errors) == (
            1,
            "docker/broker/custom.conf is not as queues.toml says: type `./inv queue.config`\n",
        )
        assert conf.read_text() == before[1]
        assert inv("--dry", "queue.config")[0] == 0
        assert conf.read_text() == before[1]
        assert inv("queue.config")[:2] == (
            0,
            "wrote docker/broker/custom.conf; type `./inv restart broker` for the broker to read it\n",
        )
        assert "  mail {\n" in conf.read_text()
        assert inv("queue.config", "--check")[:2] == (0, "docker/broker/custom.conf is as queues.toml says\n")
        definition.unlink()
        assert inv("queue.config") == (1, "", "docker/broker/queues.toml cannot be read: No such file or directory\n")
    finally:
        definition.write_text(before[0])
        conf.write_text(before[1])
