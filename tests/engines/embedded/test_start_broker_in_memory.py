"""The queues of ElasticMQ's file, as moto gets them, and how many messages Berth says there are."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from berth.engines.embedded import lines, messages

ROOT = Path(__file__).parents[3]
SCRIPT = lines.SCRIPTS / "start_broker_in_memory.py"
SPEC = importlib.util.spec_from_file_location("start_broker_in_memory", SCRIPT)
assert SPEC and SPEC.loader
broker = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(broker)


def test_queues_of_the_project_have_what_elasticmq_gives_them() -> None:
    configuration = broker.parse((ROOT / "docker" / "broker" / "custom.conf").read_text())
    assert broker.queues(configuration) == [
        (
            "default-dead-letters",
            {"VisibilityTimeout": "30", "DelaySeconds": "0", "ReceiveMessageWaitTimeSeconds": "0"},
        ),
        (
            "default",
            {
                "VisibilityTimeout": "900",
                "DelaySeconds": "0",
                "ReceiveMessageWaitTimeSeconds": "20",
                "RedrivePolicy": '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:default-dead-letters",'
                ' "maxReceiveCount": 5}',
            },
        ),
    ]
    assert configuration["messages-storage"] == {"enabled": "true", "uri": "jdbc:h2:/data/elasticmq;WRITE_DELAY=0"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("a = 1", {"a": "1"}),
        ("a : some words // said", {"a": "some words"}),
        ('a = "# { no comment }" # one', {"a": "# { no comment }"}),
        ("a.b.c = 1\na.b.d = 2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ('"a.fifo" { b = 1, c = 2 }', {"a.fifo": {"b": "1", "c": "2"}}),
        ("a\n{\n  b {}\n  c = { d = 1 }\n}\n", {"a": {"b": {}, "c": {"d": "1"}}}),
        ("a { b = 1 }\na { c = 2 }", {"a": {"b": "1", "c": "2"}}),
        ('include classpath("application.conf")\na = 1', {"a": "1"}),
        ("included = 1", {"included": "1"}),
    ],
)
def test_hocon_is_read(text: str, found: dict[str, Any]) -> None:
    assert broker.parse(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = ${a}", "line 2: `${a}` is not understood without ElasticMQ"),
        ("a = [1, 2]", "line 1: `[1,` is not understood without ElasticMQ"),
        ('a = """b"""', 'line 1: `"""b"""` is not understood without ElasticMQ'),
        ("a { b = 1", "a `}` is missing"),
        ("a = 1\n}", "line 2: a `}` too many"),
        ("a\nb = 1", "line 2: `a` has no value"),
        ("a = 1 { }", "line 1: a `{` without a name"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, said: str) -> None:
    with pytest.raises(broker.Unreadable) as error:
        broker.parse(text)
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("duration", "found"),
    [
        ("900 seconds", "900"),
        ("1 second", "1"),
        ("20s", "20"),
        ("5 minutes", "300"),
        ("2h", "7200"),
        ("1 day", "86400"),
        ("3000", "3"),
        ("3000 ms", "3"),
        ("2000 millis", "2"),
    ],
)
def test_durations_are_seconds(duration: str, found: str) -> None:
    assert broker.seconds(duration) == found


@pytest.mark.parametrize("duration", ["", "soon", "3 weeks", "-1 s"])
def test_a_duration_that_is_none_is_refused(duration: str) -> None:
    with pytest.raises(broker.Unreadable) as error:
        broker.seconds(duration)
    assert str(error.value) == f"`{duration}` is not a duration"


def test_a_queue_that_only_elasticmq_can_have_is_refused() -> None:
    with pytest.raises(broker.Unreadable) as error:
        broker.queues(broker.parse("queues { shop { copyTo = audit } }"))
    assert str(error.value) == "queue shop: moto does not know `copyTo`, which only ElasticMQ does"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, ""),
        (1, "1 message is queued in broker, in memory only"),
        (12, "12 messages are queued in broker, in memory only"),
    ],
)
def test_messages_are_counted_in_a_sentence(number: int, said: str) -> None:
    assert messages.sentence(number, "broker") == said


def test_messages_in_flight_and_delayed_ones_count() -> None:
    attributes = {
        "ApproximateNumberOfMessages": "1",
        "ApproximateNumberOfMessagesNotVisible": "20",
        "ApproximateNumberOfMessagesDelayed": "300",
    }
    assert messages.messages(attributes) == 321


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """What a server wrote that has not opened its port yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        path = tmp_path / "in-memory"
        path.write_text(json.dumps({"pid": os.getpid(), "port": free.getsockname()[1], "notice": "in memory only"}))
        yield path


def test_a_server_that_has_just_started_has_no_messages(file: Path) -> None:
    assert messages.said(file, "broker") == ""
    assert messages.notice(file) == "in memory only"


def test_a_server_whose_port_somebody_else_has_by_now_is_not_asked(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    with socket.create_server(("127.0.0.1", 0)) as other:
        path = tmp_path / "in-memory"
        path.write_text(json.dumps({"pid": ended.pid, "port": other.getsockname()[1], "notice": ""}))
        assert messages.said(path, "broker") == ""


def test_what_is_no_sqs_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        path = tmp_path / "in-memory"
        path.write_text(json.dumps({"pid": os.getpid(), "port": other.getsockname()[1], "notice": ""}))
        thread = threading.Thread(target=lambda: other.accept()[0].close())
        thread.start()
        assert messages.said(path, "broker") == "broker does not say how many messages are queued, in memory only"
        thread.join()
