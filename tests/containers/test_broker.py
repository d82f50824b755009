"""Tasks over the broker: from the admin into the worker, and none of them lost when something is killed."""

from __future__ import annotations

import csv
import http.cookiejar
import io
import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest
from containers.checkout import docker, ok, state, within
from containers.conftest import Stack

pytestmark = pytest.mark.containers

LOCK = 7033
"""The first half of the advisory lock that `export_users` takes before it begins; the second is the export's number."""


class Browser:
    """A session of the admin."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path: str) -> str:
        with self.opener.open(self.stack.url(path), timeout=30) as response:
            return response.read().decode()

    def post(self, path: str, **fields: str) -> str:
        token = next(cookie.value for cookie in self.cookies if cookie.name == "csrftoken")
        data = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token}).encode()
        with self.opener.open(self.stack.url(path), data, timeout=30) as response:
            return response.read().decode()


@pytest.fixture(scope="module")
def admin(stack: Stack) -> str:
    """Return the name of a superuser whose password is `secret`."""
    name = "olga"
    code = (
        "from users.models import CustomUser as U; U.objects.filter(username='olga').delete(); "
        "U.objects.create_superuser('olga', 'olga@example.com', 'secret', first_name='=1+1')"
    )
    ok(stack.inv("manage", "shell", "-c", code))
    return name


@pytest.fixture
def browser(stack: Stack, admin: str) -> Browser:
    """A browser that is logged in."""
    made = Browser(stack)
    made.get("/admin/login/")
    page = made.post("/admin/login/", username=admin, password="secret", next="/admin/")
    assert "Log out" in page
    return made


@pytest.fixture
def blocked(stack: Stack) -> Iterator[Blocked]:
    """Exports whose tasks begin, and then wait for a lock until it is released."""
    made = Blocked(stack)
    yield made
    made.release()


class Blocked:
    """Exports that cannot be finished before `release`."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.holder: subprocess.Popen[bytes] | None = None
        self.numbers: list[int] = []

    def publish(self, count: int) -> None:
        """Publish that many exports, all of them locked before their task is published."""
        rows = self.stack.sql(
            "INSERT INTO users_userexport (status, done, csv, error, created_at) "
            f"SELECT 'queued', 0, '', '', now() FROM generate_series(1, {count}) RETURNING id"
        )
        self.numbers = [int(row) for row in rows.split()]
        assert len(self.numbers) == count
        locks = "".join(f"SELECT pg_advisory_lock({LOCK}, {number});" for number in self.numbers)
        line = ["docker", "compose", "exec", "-T", "db", "psql", "-U", "postgres", "-d", "app", "-qAtc"]
        self.holder = subprocess.Popen(
            [*line, f"{locks} SELECT 'locked'; SELECT pg_sleep(600)"],
            cwd=self.stack.root,
            env=self.stack.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        within(20, lambda: self.locks() == count, "the exports are locked")
        code = f"from users.tasks import export_users; [export_users.delay(n) for n in {self.numbers}]"
        ok(self.stack.inv("manage", "shell", "-c", code))

    def locks(self) -> int:
        query = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = {LOCK} AND granted"
        return int(self.stack.sql(query))

    def waiting_tasks(self) -> int:
        """Return how many tasks have begun, and ask for their lock again and again."""
        query = f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_try_advisory_lock({LOCK},%'"
        return int(self.stack.sql(f"{query} AND pid <> pg_backend_pid()"))

    def release(self) -> None:
        """Let the tasks run."""
        if self.holder:
            self.stack.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)'"
                " AND pid <> pg_backend_pid()"
            )
            self.holder.wait(20)
            self.holder = None

    def statuses(self) -> list[str]:
        numbers = ", ".join(map(str, self.numbers))
        return self.stack.sql(f"SELECT status FROM users_userexport WHERE id IN ({numbers})").split()

    def finished(self) -> bool:
        return self.statuses() == ["finished"] * len(self.numbers)


def queue(stack: Stack, name: str = "default") -> dict[str, int]:
    """Return how many messages wait in the queue, and how many are in flight."""
    query = "Action=GetQueueAttributes&AttributeName.1=All&Version=2012-11-05"
    text = stack.get(f"/000000000000/{name}?{query}", service="BROKER").body.decode()
    pairs = re.findall(r"<Name>(\w+)</Name>\s*<Value>(\d+)</Value>", text)
    counts = {key: int(value) for key, value in pairs}
    return {
        "waiting": counts["ApproximateNumberOfMessages"],
        "in flight": counts["ApproximateNumberOfMessagesNotVisible"],
    }


def test_an_export_started_in_the_admin_runs_in_the_worker_and_is_downloaded_there(
    stack: Stack, browser: Browser, admin: str
) -> None:
    number = stack.sql(f"SELECT id FROM users_customuser WHERE username = '{admin}'")
    page = browser.post("/admin/users/customuser/", action="export_selected", _selected_action=number)
    started = re.search(r"Export (\d+) was started", page)
    assert started, page
    link = f"/admin/users/userexport/{started[1]}/download/"
    within(30, lambda: link in browser.get("/admin/users/userexport/"), "the list of exports links to the file")
    rows = list(csv.DictReader(io.StringIO(browser.get(link))))
    assert [(row["username"], row["email"], row["first_name"]) for row in rows] == [
        (admin, "olga@example.com", "'=1+1")
    ]
    log = ok(stack.compose("logs", "--no-log-prefix", "worker-default")).stdout
    assert re.search(r"Task users\.tasks\.export_users\[[\w-]+\] succeeded", log) or "task_succeeded" in log
    assert "task_succeeded" not in ok(stack.compose("logs", "--no-log-prefix", "app")).stdout


def test_every_user_is_exported_by_the_button_above_the_list(stack: Stack, browser: Browser) -> None:
    page = browser.post("/admin/users/customuser/export/")
    started = re.search(r"Export (\d+) was started", page)
    assert started, page
    within(
        30,
        lambda: stack.sql(f"SELECT status FROM users_userexport WHERE id = {started[1]}") == "finished",
        "the export is finished",
    )
    text = browser.get(f"/admin/users/userexport/{started[1]}/download/")
    assert len(list(csv.DictReader(io.StringIO(text)))) == int(stack.sql("SELECT count(*) FROM users_customuser"))


def test_no_task_is_lost_when_the_broker_is_killed(stack: Stack, blocked: Blocked) -> None:
    blocked.publish(8)
    within(30, lambda: blocked.waiting_tasks() >= 2, "two tasks are in flight")
    before = queue(stack)
    assert before["in flight"] >= 2
    assert before["waiting"] >= 1
    assert before["in flight"] + before["waiting"] == 8
    broker = stack.container("broker")
    docker("kill", "--signal", "KILL", broker)
    assert state(broker)["ExitCode"] == 137
    assert json.loads(stack.get("/status/ready/").body)["checks"]["broker"]["ok"] is False
    ok(stack.inv("up"))
    assert sum(queue(stack).values()) == 8
    blocked.release()
    within(90, blocked.finished, f"every export is finished: {blocked.statuses()}")
    # The worker deletes a message after its task; none may come again.
    within(60, lambda: queue(stack) == {"waiting": 0, "in flight": 0}, "the queue is empty")


def test_a_task_whose_worker_is_stopped_runs_again(stack: Stack, blocked: Blocked) -> None:
    blocked.publish(1)
    within(30, lambda: blocked.waiting_tasks() == 1, "the task is in flight")
    worker = stack.container("worker-default")
    started = time.monotonic()
    docker("stop", worker)
    assert state(worker)["ExitCode"] in (0, 143), ok(stack.compose("logs", "--tail", "20", "worker-default")).stdout
    assert time.monotonic() - started < 40
    # At once, and not after the visibility timeout of 900 s.
    within(10, lambda: queue(stack) == {"waiting": 1, "in flight": 0}, "the message is back in the queue")
    ok(stack.inv("up"))
    blocked.release()
    within(30, blocked.finished, "the export is finished")


def test_a_task_published_while_the_worker_is_stopped_runs_as_soon_as_it_is_back(stack: Stack) -> None:
    worker = stack.container("worker-default")
    docker("stop", worker)
    # The poll that the stopped worker left behind takes what is published within its second.
    time.sleep(1.5)
    number = stack.sql(
        "INSERT INTO users_userexport (status, done, csv, error, created_at) VALUES ('queued', 0, '', '', now()) "
        "RETURNING id"
    )
    ok(stack.inv("manage", "shell", "-c", f"from users.tasks import export_users; export_users.delay({number})"))
    docker("start", worker)
    within(
        30,
        lambda: stack.sql(f"SELECT status FROM users_userexport WHERE id = {number}") == "finished",
        "the export is finished",
    )
