"""The page of the queues, served beside the real ElasticMQ: who may ask what, and what a browser shows."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from berth_queues import sending
from berth_queues.settings import Settings
from berth_queues.sqs import Server
from containers.test_chromium import SCREENSHOTS
from containers.test_chromium import Page as Tab
from servers import ACCOUNT, APP, Broker, free_port, unavailable, wait_until


class Served(NamedTuple):
    """A page that is served, and its broker."""

    url: str
    port: int
    broker: Broker

    def ask(self, path: str, words: object = None, **headers: str) -> tuple[int, Any]:
        data = None if words is None else json.dumps(words).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                text = answer.read().decode()
                return answer.status, json.loads(text) if path.startswith("/api") else text
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def token(self) -> str:
        return self.ask("/")[1].partition('name="token" content="')[2].partition('"')[0]

    def do(self, action: str, **words: object) -> tuple[int, Any]:
        return self.ask(f"/api/{action}", words, **{"X-Token": self.token()})

    def publish(self, queue: str, *args: object) -> str:
        where = f"127.0.0.1:{self.broker.port}"
        urls = {queue: self.broker.url(queue)}
        settings = Settings(f"http://{where}", urls, "us-east-1", ("x", "x"), f"sqs://x:x@{where}")
        return sending.send(settings, Server(settings).queue(queue), "shop.sell", list(args), {"to": "<b>Bob</b>"})


@pytest.fixture(scope="module")
def served(elasticmq: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    broker = Broker(elasticmq, tmp_path_factory.mktemp("broker"))
    port = free_port()
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BERTH_LIB": str(APP),
        "CELERY_BROKER_URL": f"sqs://127.0.0.1:{broker.port}",
        "SQS_QUEUE_URLS": f"default=http://127.0.0.1:{broker.port}/{ACCOUNT}/default",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "LISTEN_ADDRESS": f"127.0.0.1:{port}",
    }
    with broker.running():
        process = subprocess.Popen(["bash", APP / "queues.sh", "serve"], env=environment, stdout=subprocess.DEVNULL)
        try:
            made = Served(f"http://127.0.0.1:{port}", port, broker)
            wait_until(lambda: answers(made), "the page answers", limit=60)
            yield made
        finally:
            process.terminate()
            assert process.wait(10) == -15


def answers(served: Served) -> bool:
    try:
        return served.ask("/health")[0] == 200
    except OSError:
        return False


@pytest.fixture(autouse=True)
def empty(served: Served) -> None:
    client = boto3.client(
        "sqs",
        endpoint_url=f"http://127.0.0.1:{served.broker.port}",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    for name in ("default", "default-dead-letters"):
        client.purge_queue(QueueUrl=served.broker.url(name))


def held(served: Served) -> dict[str, int]:
    time.sleep(1.1)  # an answer is kept for a second
    return {queue["name"]: queue["total"] for queue in served.ask("/api/queues")[1]["queues"]}


# --- Who may ask what ----------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/api/queues", "/api/history", "/api/failures", "/static/page.js"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:9325", "127.0.0.1.evil.example", "queues:9325", ""])
def test_no_name_but_loopback_is_answered(served: Served, path: str, host: str) -> None:
    assert served.ask(path, Host=host) == (403, {"error": "this page is for 127.0.0.1 only"})


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:9325"])
def test_loopback_is_answered_by_any_of_its_names_and_ports(served: Served, host: str) -> None:
    assert served.ask("/api/queues", Host=host)[0] == 200


@pytest.mark.parametrize("action", ["peek", "redrive", "purge"])
@pytest.mark.parametrize("headers", [{}, {"X-Token": "guessed"}, {"X-Token": "é"}, {"X-Worker": "1"}])
def test_nothing_is_changed_without_the_token(served: Served, action: str, headers: dict[str, str]) -> None:
    served.publish("default", 1)
    before = held(served)
    words = {"queue": "default", "confirmed": "default"}
    headers = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    assert served.ask(f"/api/{action}", words, **headers)[0] == 403
    assert held(served) == before == {"default": 1, "default-dead-letters": 0}


def test_a_purge_needs_the_name_of_the_queue(served: Served) -> None:
    served.publish("default", 1)
    for confirmed in (None, "", "Default", True):
        assert served.do("purge", queue="default", confirmed=confirmed) == (
            409,
            {"error": "nothing was deleted: the name of the queue was not typed"},
        )
    assert held(served)["default"] == 1
    assert served.do("purge", queue="default", confirmed="default") == (200, {"purged": 1, "back": 0})
    assert held(served)["default"] == 0


@pytest.mark.parametrize(
    "path", ["/static/../page.py", "/static/%2e%2e/page.py", "/static/uPlot.LICENSE", "/etc/passwd"]
)
def test_no_file_but_the_pages_own_is_given_out(served: Served, path: str) -> None:
    assert served.ask(path)[0] == 404


@pytest.mark.parametrize("words", [[], "text", None, 1, {"queue": "gone"}, {}])
def test_what_is_no_request_of_the_page_is_one_line(served: Served, words: object) -> None:
    status, said = served.ask("/api/peek", words if words is not None else [None], **{"X-Token": served.token()})
    assert status == 409
    assert "\n" not in said["error"]


# --- What a browser shows --------------------------------------------------------


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    if not shutil.which("chromium"):
        unavailable("no `chromium`: type `apt install chromium`")
    made = Tab(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


def load(tab: Tab, served: Served, width: int = 1280, scheme: str = "light") -> None:
    tab.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.send("Page.navigate", url=served.url)
    shows(tab, "document.querySelectorAll('.uplot').length === 2", "both plots")


def shows(tab: Tab, expression: str, what: str) -> None:
    wait_until(lambda: tab.value(expression) is True, what, limit=30)


def picture(tab: Tab, name: str) -> None:
    data = base64.b64decode(tab.send("Page.captureScreenshot", format="png")["data"])
    assert data.startswith(b"\x89PNG")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / f"queues-{name}.png").write_bytes(data)


def press(tab: Tab, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        typed = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        text = {"text": typed} if kind == "keyDown" and typed else {}
        codes = {"Escape": 27, "Enter": 13, "Tab": 9}
        tab.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=codes.get(key, 0), **text)


def numbers(queue: str) -> str:
    card = f'document.querySelector(".queue[data-name={queue}]")'
    return f"[...{card}.querySelectorAll('dd')].slice(0, 3).map((cell) => cell.textContent).join(' ')"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_queues_are_shown_live_and_fit(tab: Tab, served: Served, width: int, scheme: str) -> None:
    load(tab, served, width, scheme)
    shows(tab, f"{numbers('default')} === '0 0 0'", "an empty queue")
    served.publish("default", 1)
    served.publish("default", 2)
    shows(tab, f"{numbers('default')} === '2 0 0'", "two tasks that wait")
    shows(tab, "document.title === '(2) Queues'", "their number in the title")
    assert tab.value("document.documentElement.scrollWidth") <= width
    colour = tab.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in colour[4:-1].split(",")) < 384) == (scheme == "dark"), colour
    small = "[...document.querySelectorAll('button')].filter((b) => b.offsetHeight && b.offsetHeight < 40).length"
    assert tab.value(small) == 0
    picture(tab, f"{width}-{scheme}")


def test_a_dead_letter_is_read_with_its_traceback_and_sent_back_by_keys_alone(tab: Tab, served: Served) -> None:
    number = served.publish("default-dead-letters", 7)
    failure = {"task_id": number, "task": "shop.sell", "at": time.time(), "text": "Traceback:\nKeyError: <i>7</i>"}
    assert served.ask("/api/failures", failure, **{"X-Worker": "1", "Host": "queues:9325"})[0] == 200
    load(tab, served)
    shows(tab, f"{numbers('default-dead-letters')} === '1 0 0'", "the dead letter")
    press(tab, "j")
    press(tab, "j")
    assert tab.value("document.activeElement.dataset.name") == "default-dead-letters"
    press(tab, "l")
    shows(tab, "document.getElementById('inside').open", "what is inside")
    text = tab.value("document.getElementById('messages').innerText")
    assert 'shop.sell(*[7], **{"to": "<b>Bob</b>"})' in text
    assert "KeyError: <i>7</i>" in text
    assert number in text
    # What a message says is text, and never a part of the page.
    assert tab.value("document.querySelectorAll('#messages b, #messages i').length") == 0
    picture(tab, "dead-letter")
    tab.value("document.querySelector('#messages button').focus()")
    press(tab, "Enter")
    shows(tab, f"{numbers('default')} === '1 0 0'", "the task is back in its queue")
    press(tab, "Escape")
    shows(tab, "!document.getElementById('inside').open", "the page again")
    assert held(served) == {"default": 1, "default-dead-letters": 0}


def test_a_look_where_deliveries_are_limited_asks_first(tab: Tab, served: Served) -> None:
    served.publish("default", 1)
    load(tab, served)
    shows(tab, f"{numbers('default')} === '1 0 0'", "the task")
    tab.value("document.querySelector('[data-name=default] [data-do=peek]').click()")
    assert "counts as one of the 5 deliveries" in tab.value("document.getElementById('ask-text').textContent")
    press(tab, "Escape")
    shows(tab, "!document.getElementById('ask').open", "no question any more")
    assert served.do("peek", queue="default")[1]["messages"][0]["receives"] == 1


def test_a_purge_is_only_possible_with_the_name_typed(tab: Tab, served: Served) -> None:
    served.publish("default", 1)
    load(tab, served)
    shows(tab, f"{numbers('default')} === '1 0 0'", "the task")
    tab.value("document.querySelector('[data-name=default] [data-do=purge]').click()")
    picture(tab, "purge")
    assert tab.value("document.getElementById('ask-yes').disabled") is True
    tab.value("document.getElementById('ask-name').focus()")
    for letter in "default":
        assert tab.value("document.getElementById('ask-yes').disabled") is True
        press(tab, letter)
    press(tab, "Enter")
    shows(tab, f"{numbers('default')} === '0 0 0'", "an empty queue")


def test_a_broker_that_is_gone_is_one_line_and_comes_back(tab: Tab, served: Served) -> None:
    load(tab, served)
    # What the browser is told then, without stopping the broker of all the other tests.
    tab.value("window.real = window.fetch; window.fetch = () => Promise.reject(new TypeError('failed'))")
    shows(tab, "document.getElementById('live').className === 'down'", "that it is not live")
    assert "is the service `queues` up?" in tab.value("document.getElementById('trouble').textContent")
    tab.value("window.fetch = window.real")
    shows(tab, "document.getElementById('live').className === 'up'", "that it is live")
