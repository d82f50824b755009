"""Clients that ask by TLS, and what they call lost; the certificate is one that a trial makes."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from berth.tasks.asking import Asking, lost

SCRIPT = Path(__file__).parents[2] / "docker" / "balancer" / "certificate.sh"


class Site(BaseHTTPRequestHandler):
    """Answers 200 to the name that it has, and 503 to others."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Host"] == "shop.example.com" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A site by TLS, with a certificate of certificate.sh."""
    subprocess.run([SCRIPT, "/dev/null", tmp_path / "site.pem"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "site.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_requests_that_the_site_answers_are_counted_and_none_is_lost(address: str) -> None:
    with Asking(address, "shop.example.com", "/") as clients:
        time.sleep(0.5)

    assert clients.answers.keys() == {"200"}
    assert clients.answers["200"] > 20
    assert lost(clients.answers) == Counter()


def test_what_the_balancer_answers_for_want_of_a_replica_is_lost(address: str) -> None:
    with Asking(address, "nobody.example.com", "/") as clients:
        time.sleep(0.2)

    assert lost(clients.answers) == clients.answers
    assert clients.answers.keys() == {"503"}


def test_a_connection_that_nobody_takes_is_lost() -> None:
    with Asking("127.0.0.1:1", "localhost", "/") as clients:
        time.sleep(0.2)

    assert sum(lost(clients.answers).values()) == sum(clients.answers.values()) > 0
