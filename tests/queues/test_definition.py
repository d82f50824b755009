"""queues.toml: what it may say, what ElasticMQ reads of it, and how a server and Celery differ from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.engines.embedded.scripts import start_broker_in_memory as moto
from berth.errors import Refused
from berth.queues import definition, differences, elasticmq
from berth.queues.definition import Queue

ROOT = Path(__file__).parents[2]
CONF = (ROOT / "docker" / "broker" / "custom.conf").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"queues\.toml: it defines no queue"),
        ("[a", r"queues\.toml cannot be read: Expected"),
        ("delay = 1", r"`delay` stands outside of a queue: write \[NAME\] above it"),
        ('["a b"]', r"`a b` is no name of a queue"),
        (f"[{'a' * 81}]", r"is no name of a queue"),
        ("[a]\nvisibility = 3", r"\[a\] has no `visibility`: did you mean `visibility_timeout`\?"),
        ("[a]\ndelay = '3'", r"\[a\] `delay` takes a whole number, not `3`"),
        ("[a]\ndelay = true", r"\[a\] `delay` takes a whole number, not `True`"),
        ("[a]\ndelay = 901", r"\[a\] `delay` takes 0 to 900, not 901"),
        ("[a]\nmax_receives = 3", r"\[a\] takes `max_receives` and `dead_letters` together, or neither"),
        ("[a]\nmax_receives = 3\ndead_letters = 'b'", r"\[a\] `dead_letters` names `b`, which is not defined"),
        ("[a]\nmax_receives = 3\ndead_letters = 'a'", r"\[a\] cannot have its own dead letters"),
        ("[a]\nfifo = true", r"\[a\] a FIFO queue has `fifo = true` and a name that ends in `\.fifo`"),
        ("['a.fifo']", r"\[a\.fifo\] a FIFO queue has `fifo = true`"),
        ("[a]\ncontent_based_deduplication = true", r"is for FIFO queues"),
        ("['a.fifo']\nfifo=true\nmax_receives=1\ndead_letters='b'\n[b]", r"either both are FIFO queues, or neither is"),
    ],
)
def test_what_no_server_could_make_is_refused(text: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        definition.parse(text)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(Refused) as refused:
        definition.parse("[a]\ndelay = 901\nspeed = 1\n[b]\nfifo = 1")
    assert len(str(refused.value).splitlines()) == 3


NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Queue]:
    """Return queues as `definition.parse` may return them."""
    fifo = draw(st.booleans())
    names = [f"{name}.fifo" if fifo else name for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))]
    found = {}
    for number, name in enumerate(names):
        target = names[0] if number and draw(st.booleans()) else None
        found[name] = Queue(
            name,
            visibility_timeout=draw(st.integers(0, 43200)),
            delay=draw(st.integers(0, 900)),
            receive_wait=draw(st.integers(0, 20)),
            max_receives=draw(st.integers(1, 1000)) if target else None,
            dead_letters=target,
            fifo=fifo,
            content_based_deduplication=fifo and draw(st.booleans()),
        )
    return found


@given(definitions())
def test_the_brokers_configuration_says_what_the_definition_says(queues: dict[str, Queue]) -> None:
    """Read back by the reader of the broker in memory; tests/docker/test_queues.py asks the real ElasticMQ."""
    conf = elasticmq.written(CONF, queues.values())
    assert elasticmq.written(conf, queues.values()) == conf
    read = dict(moto.queues(moto.parse(conf)))
    assert read.keys() == queues.keys()
    for name, queue in queues.items():
        policy = json.loads(read[name].pop("RedrivePolicy", "{}"))
        assert read[name] == queue.attributes()
        assert policy.get("maxReceiveCount") == queue.max_receives
        assert (policy.get("deadLetterTargetArn") or "").rpartition(":")[2] == (queue.dead_letters or "")


def test_all_but_the_queues_stays_as_it_was() -> None:
    conf = elasticmq.written(CONF, [Queue("other")])
    before, _, rest = CONF.partition(elasticmq.BEGIN)
    assert conf.startswith(before)
    assert conf.endswith(rest.partition(elasticmq.END)[2])


@pytest.mark.parametrize("text", ["queues { }\n", CONF + CONF])
def test_a_configuration_without_the_place_for_the_queues_is_left_alone(text: str) -> None:
    with pytest.raises(Refused, match=r"put them around its block `queues`"):
        elasticmq.written(text, [Queue("other")])


QUEUES = definition.parse(
    "[default]\nvisibility_timeout = 900\nmax_receives = 5\ndead_letters = 'dead'\n[dead]\nretention = 1209600"
)


def described(name: str, **attributes: str) -> dict[str, Any]:
    return {"name": name, "problem": None, "attributes": {**QUEUES[name].attributes(), **attributes}}


POLICY = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 5})


def test_a_server_that_has_all_of_it_differs_in_nothing() -> None:
    assert differences.of_server(QUEUES, [described("default", RedrivePolicy=POLICY), described("dead")]) == []


@pytest.mark.parametrize(
    ("attributes", "difference"),
    [
        ({"RedrivePolicy": POLICY, "VisibilityTimeout": "30"}, "visibility_timeout is 30, and 900 in queues.toml"),
        ({}, "there are no dead letters, and dead letters go to dead after 5 deliveries in queues.toml"),
        (
            {"RedrivePolicy": POLICY.replace("5", "3")},
            "dead letters go to dead after 3 deliveries, and dead letters go to dead after 5 deliveries in queues.toml",
        ),
    ],
)
def test_each_difference_of_a_server_is_named(attributes: dict[str, str], difference: str) -> None:
    found = differences.of_server(QUEUES, [described("default", **attributes), described("dead")])
    assert found == [f"default: {difference}"]


def test_missing_queues_are_made_before_those_that_name_them() -> None:
    gone = [{"name": name, "problem": "it is not there"} for name in QUEUES]
    assert [queue.name for queue in differences.missing(QUEUES, gone)] == ["dead", "default"]
    assert differences.of_server(QUEUES, gone) == ["dead: is not there", "default: is not there"]


@pytest.mark.parametrize(
    ("urls", "found"),
    [
        ("default=http://broker/0/default", []),
        ("main=http://broker/0/default", []),
        ("", ["SQS_QUEUE_URLS has no `default`, so Celery cannot publish to it: add default=URL"]),
        (
            "default=http://broker/0/default,mail=http://broker/0/mails",
            ["SQS_QUEUE_URLS: `mail` is at the queue `mails`, which queues.toml does not define"],
        ),
    ],
)
def test_celery_is_to_know_the_queues_with_work(urls: str, found: list[str]) -> None:
    assert differences.of_urls(QUEUES, differences.parse_urls(urls)) == found
