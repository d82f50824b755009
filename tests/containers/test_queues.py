"""What a task that always fails leaves to be seen, and how it comes to a good end."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from containers.checkout import ok, within
from containers.conftest import Stack

pytestmark = pytest.mark.containers

HIDDEN_FOR = """
import sys
from berth_queues import settings, sqs

server = sqs.Server(settings.read())
server.ask("set_queue_attributes", QueueUrl=server.queue("default").url, Attributes={"VisibilityTimeout": sys.argv[1]})
"""


@contextlib.contextmanager
def hidden_for(stack: Stack, seconds: int) -> Iterator[None]:
    """Have a message come again after so many seconds, for a while."""
    line = ["exec", "queues", "env", "PYTHONPATH=/usr/local/lib/berth", "python", "-c", HIDDEN_FOR]
    ok(stack.inv(*line, str(seconds)))
    try:
        yield
    finally:
        ok(stack.inv(*line, "900"))


def inside(stack: Stack, queue: str) -> list[dict[str, Any]]:
    """Return what the page shows of a queue."""
    token = stack.get("/", "QUEUES").body.decode().partition('name="token" content="')[2].partition('"')[0]
    request = urllib.request.Request(
        stack.url("/api/peek", "QUEUES"), json.dumps({"queue": queue}).encode(), {"X-Token": token}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: list[dict[str, Any]] = json.load(answer)["messages"]
        return found


def test_a_task_that_always_fails_is_shown_with_its_traceback_and_succeeds_once_mended_and_sent_back(
    stack: Stack,
) -> None:
    # No list of ids, so every attempt fails.
    row = stack.sql(
        "INSERT INTO users_userexport (status, done, csv, error, created_at, user_ids) "
        "VALUES ('queued', 0, '', '', now(), '7') RETURNING id"
    )
    with hidden_for(stack, 2):
        task = ok(stack.inv("queue.send", "users.tasks.export_users", "--args", f"[{row}]")).stdout.strip()
        within(
            180, lambda: task in {one["task_id"] for one in inside(stack, "default-dead-letters")}, "it is set aside"
        )
    found = next(one for one in inside(stack, "default-dead-letters") if one["task_id"] == task)
    assert (found["task"], found["args"]) == ("users.tasks.export_users", f"[{row}]")
    assert found["failure"]["text"].startswith("Traceback (most recent call last):\n")
    assert "export_users" in found["failure"]["text"]
    assert "TypeError: 'int' object is not iterable" in ok(stack.inv("queue.peek", "default-dead-letters")).stdout

    stack.sql(f"UPDATE users_userexport SET user_ids = NULL WHERE id = {row}")
    ok(stack.inv("queue.redrive", "default-dead-letters", task))
    status = f"SELECT status FROM users_userexport WHERE id = {row}"
    within(60, lambda: stack.sql(status) == "finished", "the export is finished")
    assert task not in {one["task_id"] for one in inside(stack, "default-dead-letters")}


def test_the_page_says_that_the_broker_is_down_and_that_it_is_back(stack: Stack) -> None:
    def error() -> Any:
        return json.loads(stack.get("/api/queues", "QUEUES").body)["error"]

    assert error() is None
    try:
        stack.compose("stop", "broker")
        line = "nothing answers at http://broker:9324: is the broker up, and CELERY_BROKER_URL right?"
        within(20, lambda: error() == line, "the page says that nothing answers")
        made = stack.inv("queue")
        assert (made.returncode, made.stdout, made.stderr.splitlines()[-1]) == (1, "", f"queues.sh: {line}")
    finally:
        ok(stack.compose("start", "broker"))
    within(60, lambda: error() is None, "the page shows the queues")
