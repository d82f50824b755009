"""A worker on a real server: what is run, how often, and what is left in the queue."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sqs_shop import Shop, wait_until

NOTHING = (0, 0)
Make = Callable[..., Shop]


def test_stopped_worker_loses_and_doubles_nothing(shop: Make) -> None:
    made = shop(visibility=60)
    made.publish("for i in range(80): note.delay(str(i), 0.03)")
    first = made.start()
    wait_until(lambda: len(made.lines()) > 15, "the first tasks have begun")
    first.terminate()
    assert first.wait(timeout=20) == 0
    wait_until(lambda: made.counts()[1] == 0, "nothing is in flight", 3)

    made.start()
    wait_until(lambda: len(set(made.lines("ended"))) == 80, "all have ended")
    wait_until(lambda: made.counts() == NOTHING, "all are deleted", 5)

    assert set(Counter(made.lines()).values()) == {1}


def test_killed_worker_loses_nothing(shop: Make) -> None:
    made = shop(visibility=4)
    made.publish("for i in range(60): note.delay(str(i), 0.03)")
    first = made.start()
    wait_until(lambda: len(made.lines()) > 15, "the first tasks have begun")
    made.kill(first)
    assert len(set(made.lines())) < 60

    made.start()
    wait_until(lambda: len(set(made.lines("ended"))) == 60, "all have ended")
    wait_until(lambda: made.counts() == NOTHING, "all are deleted", 10)

    assert made.counts(made.dead) == NOTHING


def test_task_that_always_fails_is_a_dead_letter_after_its_receives(shop: Make) -> None:
    made = shop(visibility=2, receives=3)
    made.publish("note.delay('poison', fails=True); note.delay('good')")
    made.start()
    wait_until(lambda: made.counts(made.dead)[0] == 1, "it is a dead letter", 40)

    assert Counter(made.lines()) == {"poison": 3, "good": 1}


def test_task_longer_than_the_visibility_timeout_runs_once_and_holds_up_nobody(shop: Make) -> None:
    """What the first worker had reserved behind it is run by the second, though received at most twice."""
    made = shop(visibility=3, receives=2)
    made.publish(
        "[note.delay(f'quick{i}') for i in range(20)]; note.delay('long', 12); "
        "[note.delay(f'later{i}') for i in range(9)]"
    )
    made.start(processes=1)
    wait_until(lambda: "long" in made.lines(), "the long task has begun")
    made.start(processes=1)
    wait_until(lambda: len(made.lines()) == 30, "all others are run meanwhile", 10)
    assert "long" not in made.lines("ended")
    wait_until(lambda: "long" in made.lines("ended"), "the long task ends")
    wait_until(lambda: made.counts() == NOTHING, "all are deleted", 5)

    assert set(Counter(made.lines()).values()) == {1}
    assert made.counts(made.dead) == NOTHING


def test_task_whose_eta_is_beyond_the_visibility_timeout_runs_once(shop: Make) -> None:
    made = shop(visibility=2, receives=2)
    made.publish("note.apply_async(['later'], countdown=7)")
    made.start()
    made.ready()
    wait_until(lambda: "later" in made.lines("ended"), "it is run", 15)
    wait_until(lambda: made.counts() == NOTHING, "it is deleted", 5)

    assert made.lines() == ["later"]


def test_poll_of_a_stopped_worker_swallows_no_message(shop: Make) -> None:
    made = shop(visibility=60)
    made.start()
    made.ready()
    made.workers[0].terminate()
    made.workers[0].wait(timeout=20)
    made.publish("note.delay('after')")
    made.start()

    wait_until(lambda: made.lines("ended") == ["after"], "the next worker runs it", 15)


def test_queue_that_is_deleted_and_made_again_is_one_line_and_work_goes_on(shop: Make) -> None:
    made = shop()
    worker = made.start()
    made.ready()
    made.sqs.delete_queue(QueueUrl=made.url)
    wait_until(lambda: "fails, trying again" in made.output(), "the worker says so")
    time.sleep(3)
    made.create()
    made.publish("note.delay('after')")
    wait_until(lambda: made.lines("ended") == ["after"], "the worker runs it")

    assert worker.poll() is None
    lines = [line for line in made.output().splitlines() if "fails, trying again" in line]
    assert len(lines) == 1 and "ReceiveMessage of queue shop fails" in lines[0]
    assert "Traceback" not in made.output()


def test_server_that_hangs_is_one_line_and_loses_nothing(shop: Make) -> None:
    made = shop(visibility=20)
    made.environment["READ_TIMEOUT"] = "1.5"
    made.publish("for i in range(60): note.delay(str(i), 0.03)")
    worker = made.start()
    wait_until(lambda: len(made.lines()) > 15, "the first tasks have begun")
    os.kill(made.broker.process.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: "ReceiveMessage of queue shop fails" in made.output(), "the worker says so", 10)
    finally:
        os.kill(made.broker.process.pid, signal.SIGCONT)
    wait_until(lambda: len(set(made.lines("ended"))) == 60, "all have ended", 40)
    wait_until(lambda: made.counts() == NOTHING, "all are deleted", 30)

    assert worker.poll() is None
    lines = [line for line in made.output().splitlines() if "ReceiveMessage" in line and "fails" in line]
    assert len(lines) == 1 and "trying again: Operation timed out after" in lines[0]
    assert "ReceiveMessage of queue shop works again" in made.output()
    assert "Traceback" not in made.output()


def test_server_that_hangs_at_the_start_is_one_line_at_each_try(shop: Make) -> None:
    made = shop()
    made.environment["READ_TIMEOUT"] = "1"
    os.kill(made.broker.process.pid, signal.SIGSTOP)
    try:
        made.start()
        wait_until(lambda: made.output().count("Trying again in") == 2, "the worker says so, and tries again")
    finally:
        os.kill(made.broker.process.pid, signal.SIGCONT)
    made.ready()
    made.publish("note.delay('after')")
    wait_until(lambda: made.lines("ended") == ["after"], "the worker runs it")

    lines = [line for line in made.output().splitlines() if "ERROR" in line]
    assert all("Cannot connect to" in line and "Read timeout on endpoint URL" in line for line in lines)
    assert "Traceback" not in made.output()


def test_idle_worker_stops_with_its_last_poll(shop: Make) -> None:
    made = shop()
    worker = made.start()
    made.ready()
    began = time.monotonic()
    worker.terminate()

    assert worker.wait(timeout=20) == 0
    # A second for the poll, the rest is Celery's; kombu's own transport takes as long.
    assert time.monotonic() - began < 8
    assert "Traceback" not in made.output()


class Refusal(BaseHTTPRequestHandler):
    """A server to which no credentials are right."""

    def do_POST(self) -> None:
        body = b'{"__type": "com.amazonaws.sqs#InvalidClientTokenId", "message": "The security token is invalid."}'
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Be quiet."""


def test_wrong_credentials_are_one_line_at_each_try(shop: Make) -> None:
    made = shop()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        made.environment["BROKER_URL"] = f"sqs://x:x@127.0.0.1:{server.server_port}"
        worker = made.start()
        wait_until(lambda: made.output().count("Trying again in") == 2, "the worker says so, and tries again")
    finally:
        server.shutdown()
        server.server_close()

    assert worker.poll() is None
    lines = [line for line in made.output().splitlines() if "ERROR" in line]
    assert len(lines) == 2
    assert all("Cannot connect to" in line and "(InvalidClientTokenId)" in line for line in lines)
    assert "Traceback" not in made.output()
