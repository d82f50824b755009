"""Serve the page of the queues, and what its script asks for.

Everything is for this machine: a request whose Host header is another one's is refused, so that no web site can read
the queues through a name that it lets point here (DNS rebinding); what changes something needs the token that the page
holds, which no other site can read.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from berth_queues import messages, moving, settings
from berth_queues.history import History
from berth_queues.settings import Trouble
from berth_queues.sqs import Queue, Server

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
MOST_BYTES = 100_000
PEEKED = 20
FAILURES = 500
"""How many tracebacks are kept, the newest ones."""
FAILURES_PATH = "/api/failures"
WORKER = "X-Worker"


class Board:
    """What the page can do."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)
        self.history = History(lambda: self.server.queues())
        self.failures: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._failing = threading.Lock()

    @cached_property
    def server(self) -> Server:
        """
        :raises Trouble: there is no SQS server, or no boto3; asked again the next time.
        """
        return Server(settings.read())

    def state(self) -> dict[str, Any]:
        return self.history.latest() | {"where": self._where()}

    def _where(self) -> str:
        try:
            return settings.read().where
        except Trouble:
            return ""

    def peek(self, words: Mapping[str, Any]) -> dict[str, Any]:
        queue = self._queue(words)
        found, anew = moving.peek(self.server, queue, min(int(words.get("limit") or PEEKED), 100))
        decoded = [messages.decode(message) for message in found]
        for message in decoded:
            message["failure"] = self.failures.get(message.get("task_id") or "")
        return {"messages": decoded, "anew": anew, "queue": queue.as_dict()}

    def failed(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Remember why a task failed, as a worker tells it."""
        number = str(words.get("task_id") or "")
        with self._failing:
            self.failures[number] = {"at": words.get("at"), "text": str(words.get("text", ""))}
            self.failures.move_to_end(number)
            while len(self.failures) > FAILURES:
                self.failures.popitem(last=False)
        return {}

    def redrive(self, words: Mapping[str, Any]) -> dict[str, Any]:
        ids = [str(one) for one in words.get("ids") or []]
        to = str(words["to"]) if words.get("to") else None
        return {"moved": moving.redrive(self.server, self._queue(words), ids, to=to)}

    def purge(self, words: Mapping[str, Any]) -> dict[str, Any]:
        queue = self._queue(words)
        if words.get("confirmed") != queue.name:
            raise Trouble("nothing was deleted: the name of the queue was not typed")
        return {"purged": queue.total, "back": moving.purge(self.server, queue)}

    def _queue(self, words: Mapping[str, Any]) -> Queue:
        return self.server.queue(str(words.get("queue", "")))


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    board: Board
    protocol_version = "HTTP/1.1"
    server_version = "queues"
    sys_version = ""
    timeout = 60

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/health":
            self._answer(HTTPStatus.OK, b"ok\n", "text/plain")
        elif not self._is_local():
            self._error(HTTPStatus.FORBIDDEN, "this page is for 127.0.0.1 only")
        elif path == "/":
            text = (STATIC / "index.html").read_text(encoding="utf-8").replace("{{ token }}", self.board.token)
            self._answer(HTTPStatus.OK, text.encode(), TYPES[".html"])
        elif path == "/api/queues":
            self._json(self.board.state())
        elif path == FAILURES_PATH:
            self._json(dict(self.board.failures))
        elif path == "/api/history":
            self._json(self.board.history.points())
        elif (file := STATIC / path.removeprefix("/static/")).parent == STATIC and file.suffix in TYPES:
            self._static(file)
        else:
            self._error(HTTPStatus.NOT_FOUND, f"there is no {path}")

    def do_POST(self) -> None:
        if self.path == FAILURES_PATH and self.headers.get(WORKER):
            # From another container. A web site cannot send such a header, and it changes nothing but what is shown.
            self._do(self.board.failed)
            return
        if not self._is_local():
            self._error(HTTPStatus.FORBIDDEN, "this page is for 127.0.0.1 only")
            return
        if not secrets.compare_digest(self.headers.get("X-Token", "").encode(), self.board.token.encode()):
            self._error(HTTPStatus.FORBIDDEN, "the page is older than its server: load it again")
            return
        actions: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "/api/peek": self.board.peek,
            "/api/redrive": self.board.redrive,
            "/api/purge": self.board.purge,
        }
        action = actions.get(self.path)
        if action is None:
            self._error(HTTPStatus.NOT_FOUND, f"there is no {self.path}")
            return
        self._do(action)
        self.board.history.forget()

    def _do(self, action: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        try:
            done = action(self._words())
        except Trouble as trouble:
            self._error(HTTPStatus.CONFLICT, str(trouble))
        else:
            self._json(done)

    def _words(self) -> dict[str, Any]:
        """
        :raises Trouble: the request holds no JSON object.
        """
        try:
            length = int(self.headers.get("Content-Length") or 0)
            found = json.loads(self.rfile.read(length)) if 0 < length <= MOST_BYTES else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Trouble("the request holds no JSON object")
        return found

    def _is_local(self) -> bool:
        return urlsplit(f"//{self.headers.get('Host', '')}").hostname in LOOPBACK

    def _static(self, file: Path) -> None:
        if file.is_file():
            self._answer(HTTPStatus.OK, file.read_bytes(), TYPES[file.suffix])
        else:
            self._error(HTTPStatus.NOT_FOUND, f"there is no {file.name}")

    def _json(self, value: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._answer(status, json.dumps(value).encode(), "application/json")

    def _error(self, status: HTTPStatus, text: str) -> None:
        # What is left of the request would be taken for the next one.
        self.close_connection = True
        self._json({"error": text}, status)

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in (HEADERS | {"Content-Type": kind, "Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing of what goes well: the page asks every few seconds."""


def serve(address: str) -> None:
    """Serve for ever.

    :param address: `HOST:PORT` to listen on.
    :raises Trouble: it cannot be listened on.
    """
    host, _, port = address.rpartition(":")
    Handler.board = board = Board()
    try:
        server = ThreadingHTTPServer((host, int(port)), Handler)
    except (OSError, ValueError, OverflowError) as error:
        raise Trouble(f"cannot listen on {address}: {error}") from None
    server.daemon_threads = True
    threading.Thread(target=board.history.watch, daemon=True).start()
    print(f"the page of the queues is on port {port}", flush=True)
    # A container's first process is told to end by SIGTERM, and dies of it: there is nothing to be tidied up.
    server.serve_forever()


def address() -> str:
    """Return where to listen: LISTEN_ADDRESS, or all of a container."""
    return os.environ.get("LISTEN_ADDRESS") or f"0.0.0.0:{os.environ.get('HEALTH_PORT') or 9325}"
