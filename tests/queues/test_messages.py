"""What the page and `inv queue.peek` show of a message, whoever wrote it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from berth_queues import messages, tables
from celery import Celery
from hypothesis import example, given, settings
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def published(args: list[Any], kwargs: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Return a message as SQS gives it, written by Celery and kombu themselves."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        app.send_task("shop.sell", args, kwargs, connection=connection, queue="default", **options)
        raw = channel._get("default")
        channel._purge("default")
    # As kombu.transport.SQS sends it.
    body = base64.b64encode(json.dumps(raw).encode()).decode()
    attributes = {"SentTimestamp": "1700000000123", "ApproximateReceiveCount": "2"}
    return {"MessageId": "m1", "Body": body, "Attributes": attributes}


@settings(max_examples=40, deadline=None)
@given(st.lists(JSON, max_size=3), st.dictionaries(st.text(min_size=1, max_size=5), JSON, max_size=3))
def test_arguments_are_those_that_were_published(args: list[Any], kwargs: dict[str, Any]) -> None:
    found = messages.decode(published(args, kwargs))
    assert (found["task"], found["retries"], found["receives"]) == ("shop.sell", 0, 2)
    if len(found["args"]) <= messages.TEXT_LIMIT and len(found["kwargs"]) <= messages.TEXT_LIMIT:
        assert (json.loads(found["args"]), json.loads(found["kwargs"])) == (args, kwargs)


def test_a_task_has_its_id_its_eta_and_when_it_was_sent() -> None:
    found = messages.decode(published([1], {}, countdown=60, retries=3, task_id="t1", expires=600))
    assert (found["task_id"], found["retries"], found["sent_at"]) == ("t1", 3, 1700000000.123)
    assert found["eta"] and found["expires"]


@settings(max_examples=200)
@example('{"headers": {"task": ""}}')
@given(
    st.one_of(
        st.text(),
        st.binary().map(lambda data: base64.b64encode(data).decode()),
        JSON.map(json.dumps),
        st.fixed_dictionaries(
            {},
            optional={"headers": JSON, "body": JSON, "properties": JSON, "content-type": st.just("application/json")},
        ).map(json.dumps),
        st.fixed_dictionaries(
            {"headers": st.fixed_dictionaries({"task": JSON}), "body": st.text() | JSON, "properties": JSON}
        ).map(json.dumps),
    )
)
def test_whatever_else_is_in_a_queue_is_shown_in_one_or_two_lines(body: str) -> None:
    found = messages.decode({"MessageId": "m1", "Body": body})
    assert (found["text"] == body[: messages.TEXT_LIMIT]) if found["task"] is None else found["task"]
    shown = tables.message(found, None, now=0)
    assert len(shown.split("\n")) == 2
    assert "\x1b" not in shown and "\r" not in shown


def test_what_was_pickled_is_never_unpickled() -> None:
    class Boom:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("it was unpickled",))

    import pickle

    text = base64.b64encode(pickle.dumps(((Boom(),), {}, {}))).decode()
    envelope = {
        "headers": {"task": "shop.sell", "id": "t1", "argsrepr": "(<Boom>,)", "kwargsrepr": "{}"},
        "body": text,
        "content-type": "application/x-python-serialize",
        "properties": {"body_encoding": "base64"},
    }
    found = messages.decode({"MessageId": "m1", "Body": json.dumps(envelope)})
    assert (found["task"], found["args"]) == ("shop.sell", "(<Boom>,)")


@pytest.mark.parametrize(
    ("args", "kwargs", "shown"),
    [
        ("[]", "{}", "shop.sell()"),
        ('[1, "a"]', "{}", 'shop.sell(1, "a")'),
        ("(1,)", "{}", "shop.sell(1)"),
        ("[]", '{"to": 1}', 'shop.sell(**{"to": 1})'),
        ("[1]", '{"to": "\x1b[2J"}', 'shop.sell(1, **{"to": "\\x1b[2J"})'),
    ],
)
def test_a_task_is_shown_as_a_call(args: str, kwargs: str, shown: str) -> None:
    found = messages.decode(published([], {})) | {"args": args, "kwargs": kwargs}
    assert tables.message(found, 5, now=1700000060).split("\n")[0] == shown
    assert "sent 59 s ago, delivery 2 of 5" in tables.message(found, 5, now=1700000060)
