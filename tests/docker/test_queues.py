"""queues.sh and what is behind it, on the real ElasticMQ: what is seen, and that nothing is lost but by a purge."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from berth_queues import messages, moving, sending
from berth_queues.settings import Settings, Trouble
from berth_queues.sqs import Server
from servers import ACCOUNT, APP, Broker, free_port

from berth.queues import definition, differences, elasticmq

DEFINITION = """
[default]
visibility_timeout = 900
max_receives = 3
dead_letters = "dead"
[dead]
[mail]
delay = 7
max_receives = 3
dead_letters = "dead"
["orders.fifo"]
fifo = true
max_receives = 2
dead_letters = "dead.fifo"
["dead.fifo"]
fifo = true
content_based_deduplication = true
"""
QUEUES = definition.parse(DEFINITION)


@pytest.fixture(scope="module")
def broker(elasticmq: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("broker")
    made = Broker(elasticmq, folder)
    conf = folder / "custom.conf"
    conf.write_text(elasticmq_conf(conf.read_text()))
    with made.running():
        yield made


def elasticmq_conf(text: str) -> str:
    return elasticmq.written(text, QUEUES.values())


@pytest.fixture
def server(broker: Broker) -> Iterator[Server]:
    """The server, with no message in any queue."""
    urls = {"default": broker.url("default"), "mail": broker.url("mail")}
    where = f"127.0.0.1:{broker.port}"
    made = Server(Settings(f"http://{where}", urls, "us-east-1", ("x", "x"), f"sqs://x:x@{where}"))
    for queue in made.queues():
        moving.purge(made, queue)
    yield made


def put(broker: Broker, queue: str, *bodies: str, **words: object) -> None:
    for body in bodies:
        broker.client.send_message(QueueUrl=broker.url(queue), MessageBody=body, **words)


def counts(server: Server) -> dict[str, int]:
    return {queue.name: queue.total for queue in server.queues() if queue.total}


def bodies(server: Server, name: str) -> list[str]:
    return sorted(message["Body"] for message in moving.peek(server, server.queue(name), 100)[0])


def test_elasticmq_has_the_queues_as_they_are_defined(server: Server) -> None:
    described = [queue.as_dict() for queue in server.named(list(QUEUES))]
    assert differences.of_server(QUEUES, described) == []


def test_queues_know_their_dead_letters_and_those_whom_they_serve(server: Server) -> None:
    found = {queue.name: (queue.used, queue.dead_letters, queue.sources) for queue in server.queues()}
    assert found == {
        "default": (True, "dead", ()),
        "mail": (True, "dead", ()),
        "dead": (False, None, ("default", "mail")),
        "orders.fifo": (False, "dead.fifo", ()),
        "dead.fifo": (False, None, ("orders.fifo",)),
    }


def test_what_waits_is_in_flight_and_is_delayed_is_counted(server: Server, broker: Broker) -> None:
    put(broker, "default", "a", "b", "c")
    put(broker, "default", "later", DelaySeconds=60)
    broker.client.receive_message(QueueUrl=broker.url(), MaxNumberOfMessages=1, VisibilityTimeout=60)
    queue = server.queue("default")
    assert (queue.visible, queue.in_flight, queue.delayed, queue.total) == (2, 1, 1, 4)


def test_a_look_gives_all_back_at_once_and_is_one_delivery(server: Server, broker: Broker) -> None:
    put(broker, "default", *(f"{number:02}" for number in range(25)))
    found, anew = moving.peek(server, server.queue("default"), 100)
    assert [message["Body"] for message in found] == [f"{number:02}" for number in range(25)]
    assert ({message["Attributes"]["ApproximateReceiveCount"] for message in found}, anew) == ({"1"}, 0)
    queue = server.queue("default")
    assert (queue.visible, queue.in_flight) == (25, 0)


def test_no_number_of_looks_makes_a_message_a_dead_letter(server: Server, broker: Broker) -> None:
    put(broker, "default", "a", "b")
    anew = []
    for _ in range(10):
        found, number = moving.peek(server, server.queue("default"), 10)
        assert sorted(message["Body"] for message in found) == ["a", "b"]
        anew.append(number)
    # Each third delivery would be the last.
    assert anew == [0, 0, 2, 0, 0, 2, 0, 0, 2, 0]
    assert counts(server) == {"default": 2}


def test_no_look_at_a_fifo_queue_changes_its_order(server: Server, broker: Broker) -> None:
    put(broker, "orders.fifo", "a", MessageGroupId="g", MessageDeduplicationId="1")
    with pytest.raises(Trouble, match=r"^`orders\.fifo` is a FIFO queue with dead letters: "):
        moving.peek(server, server.queue("orders.fifo"), 10)
    got = broker.client.receive_message(QueueUrl=broker.url("orders.fifo"), AttributeNames=["All"])["Messages"]
    assert got[0]["Attributes"]["ApproximateReceiveCount"] == "1"


def test_dead_letters_go_back_where_they_came_from(server: Server, broker: Broker) -> None:
    put(broker, "default", "poison")
    for _ in range(4):
        broker.client.receive_message(QueueUrl=broker.url(), VisibilityTimeout=0, WaitTimeSeconds=0)
    assert counts(server) == {"dead": 1}
    assert moving.redrive(server, server.queue("dead"), to="default") == 1
    assert counts(server) == {"default": 1}
    assert bodies(server, "default") == ["poison"]


def test_dead_letters_are_sent_back_by_id_with_all_that_they_hold(server: Server, broker: Broker) -> None:
    put(broker, "dead", "a", "b", MessageAttributes={"trace": {"DataType": "String", "StringValue": "t1"}})
    chosen = next(one for one in moving.peek(server, server.queue("dead"), 10)[0] if one["Body"] == "b")
    assert moving.redrive(server, server.queue("dead"), [chosen["MessageId"]], to="default") == 1
    assert counts(server) == {"dead": 1, "default": 1}
    (moved,) = moving.peek(server, server.queue("default"), 10)[0]
    assert (moved["Body"], moved["MessageAttributes"]["trace"]["StringValue"]) == ("b", "t1")


def test_fifo_messages_go_back_although_they_were_sent_just_now(server: Server, broker: Broker) -> None:
    """With their old id SQS would take them for duplicates, and say that all was well."""
    put(broker, "orders.fifo", "a", MessageGroupId="g", MessageDeduplicationId="same")
    (got,) = broker.client.receive_message(QueueUrl=broker.url("orders.fifo"))["Messages"]
    broker.client.delete_message(QueueUrl=broker.url("orders.fifo"), ReceiptHandle=got["ReceiptHandle"])
    put(broker, "dead.fifo", "a", MessageGroupId="g", MessageDeduplicationId="same")
    assert moving.redrive(server, server.queue("dead.fifo")) == 1
    assert counts(server) == {"orders.fifo": 1}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"ids": ["nonsense"], "to": "default"}, r"^not among the messages that wait in `dead`: nonsense$"),
        ({"to": "nowhere"}, r"^no queue is called `nowhere`: there are default, mail, "),
        ({}, r"^`dead` gets those of default, mail: name one of them by `--to`$"),
    ],
)
def test_what_cannot_be_sent_back_stays(server: Server, broker: Broker, words: dict[str, object], message: str) -> None:
    put(broker, "dead", "a", "b")
    with pytest.raises(Trouble, match=message):
        moving.redrive(server, server.queue("dead"), **words)
    assert (counts(server), server.queue("dead").visible) == ({"dead": 2}, 2)


def test_an_interruption_doubles_a_message_and_loses_none(
    server: Server, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(broker, "dead", "a", "b", "c")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(moving, "_delete", interrupted)
    with pytest.raises(KeyboardInterrupt):
        moving.redrive(server, server.queue("dead"), to="default")
    assert counts(server) == {"dead": 3, "default": 1}
    assert server.queue("dead").visible == 3  # at once, not when their time is over


def test_no_faster_than_is_wanted(server: Server, broker: Broker) -> None:
    put(broker, "dead", "a", "b", "c")
    started = time.monotonic()
    assert moving.redrive(server, server.queue("dead"), to="default", rate=4) == 3
    assert time.monotonic() - started >= 0.5


def test_a_task_is_published_as_celery_does_it(server: Server) -> None:
    number = sending.send(server.settings, server.queue("default"), "shop.sell", [1, "ä"], {"to": None}, 0)
    (got,) = moving.peek(server, server.queue("default"), 10)[0]
    found = messages.decode(got)
    assert (found["task"], found["task_id"], json.loads(found["args"]), json.loads(found["kwargs"])) == (
        "shop.sell",
        number,
        [1, "ä"],
        {"to": None},
    )


def test_a_task_that_is_too_large_is_refused_in_one_line(server: Server) -> None:
    with pytest.raises(Trouble) as trouble:
        sending.send(server.settings, server.queue("default"), "shop.sell", ["x" * 1_100_000], {})
    assert "\n" not in str(trouble.value)
    assert counts(server) == {}


def test_what_was_purged_stays_gone(elasticmq: list[str], tmp_path: Path) -> None:
    """ElasticMQ alone has it again after a restart."""
    broker = Broker(elasticmq, tmp_path)
    where = f"127.0.0.1:{broker.port}"
    with broker.running():
        server = Server(Settings(f"http://{where}", {}, "us-east-1", ("x", "x"), f"sqs://{where}"))
        put(broker, "default", *(str(number) for number in range(25)))
        assert moving.purge(server, server.queue("default")) == 0
        put(broker, "default", "later", DelaySeconds=900)
        assert moving.purge(server, server.queue("default")) == 1
        assert counts(server) == {}
    with broker.running():
        assert [queue.total for queue in server.named(["default"])] == [1]


# --- The command ---------------------------------------------------------------


def command(port: int, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BERTH_LIB": str(APP),
        "CELERY_BROKER_URL": f"sqs://127.0.0.1:{port}",
        "SQS_QUEUE_URLS": f"default=http://127.0.0.1:{port}/{ACCOUNT}/default",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        # Where no page listens.
        "LISTEN_ADDRESS": f"127.0.0.1:{free_port()}",
        **variables,
    }
    return subprocess.run(
        ["bash", APP / "queues.sh", *words], env=environment, capture_output=True, text=True, timeout=60
    )


def test_the_list_names_a_queue_that_is_not_there_and_fails(server: Server, broker: Broker) -> None:
    urls = f"default={broker.url()},gone={broker.url('gone')}"
    made = command(broker.port, "list", SQS_QUEUE_URLS=urls)
    assert made.returncode == 1
    assert made.stdout.splitlines()[-1] == (
        f"the queue `gone` is not there: http://127.0.0.1:{broker.port} has no {broker.url('gone')}"
    )
    row = next(line for line in made.stdout.splitlines() if line.startswith("default "))
    assert row.split() == ["default", "0", "0", "0", "-", "?", "0,", "after", "3", "deliveries"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["peek", "gone"], "no queue is called `gone` at http://127.0.0.1:PORT, which has default, "),
        (["purge", "gone"], "no queue is called `gone` at "),
        (["send", "--queue", "default", "--args", "{}", "shop.sell"], "`--args` takes a JSON array, not `{}`"),
        (["send", "--queue", "default", "--args", "[", "shop.sell"], "`--args` is no JSON: "),
        (["send", "--queue", "default", "--countdown", "901", "shop.sell"], "`--countdown` takes 0 to 900 seconds"),
        (["create", "new", "{}", "--dead-letters", "gone", "--max-receives", "3"], "the queue `gone` is not there"),
    ],
)
def test_bad_input_is_one_line(server: Server, broker: Broker, words: list[str], complaint: str) -> None:
    made = command(broker.port, *words)
    assert (made.returncode, made.stdout, made.stderr.count("\n")) == (1, "", 1)
    assert made.stderr.startswith(f"queues.sh: {complaint}".replace("PORT", str(broker.port)))


def test_a_queue_that_is_not_there_is_made_as_it_is_defined(server: Server, broker: Broker) -> None:
    queue = definition.parse("[default]\nmax_receives=3\ndead_letters='late'\nretention=60\n[late]\ndelay = 9")["late"]
    try:
        made = command(broker.port, "create", "late", json.dumps(queue.attributes()))
        assert (made.returncode, made.stderr) == (0, "")
        assert differences.of_server({"late": queue}, [one.as_dict() for one in server.named(["late"])]) == []
    finally:
        broker.client.delete_queue(QueueUrl=broker.url("late"))


# --- Servers that do not answer as they should -----------------------------------


def test_nothing_answers() -> None:
    port = free_port()
    made = command(port, "list")
    line = f"queues.sh: nothing answers at http://127.0.0.1:{port}: is the broker up, and CELERY_BROKER_URL right?\n"
    assert (made.returncode, made.stdout, made.stderr) == (1, "", line)


def test_a_server_that_hangs_is_left_after_five_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        started = time.monotonic()
        made = command(port, "list")
        assert time.monotonic() - started < 15
    assert made.stderr == f"queues.sh: http://127.0.0.1:{port} does not answer within 5 s\n"


class Refusing(http.server.BaseHTTPRequestHandler):
    """Amazon's answer to a key that it does not know."""

    def do_POST(self) -> None:
        body = json.dumps(
            {
                "__type": "com.amazon.coral.service#UnrecognizedClientException",
                "message": "The security token included in the request is invalid.",
            }
        ).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_wrong_credentials_are_named_and_not_shown() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as refusing:
        threading.Thread(target=refusing.serve_forever, daemon=True).start()
        port = refusing.server_address[1]
        made = command(port, "list", AWS_SECRET_ACCESS_KEY="hunter2")
        refusing.shutdown()
    assert made.stderr == (
        f"queues.sh: http://127.0.0.1:{port} refuses AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
        "(UnrecognizedClientException): The security token included in the request is invalid.\n"
    )
    assert "hunter2" not in made.stderr


def test_no_credentials() -> None:
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
    made = command(free_port(), "list", HOME="/nonexistent", **none)
    assert made.stderr == "queues.sh: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\n"
