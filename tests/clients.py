"""Clients that load a server, and count what became of each of their requests."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

CLIENTS = 32
# The last bytes of an answer whose length these clients do not need to read.
END = b"done"


class Load:
    """Clients that ask without a pause, every second one on a connection that it keeps, until they are refused.

    They do not look at the readiness: what they lose nobody else can save.

    :param counts: `answered`; `refused`, before anything was sent; and `lost`: the server had taken the connection.
    """

    def __init__(self, address: tuple[str, int], path: str, end: bytes = END, host: str = "localhost") -> None:
        self.address, self.end = address, end
        self.request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\n\r\n".encode()
        self.counts: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=[number % 2 == 0]) for number in range(CLIENTS)]

    def _ask(self, keep: bool) -> None:
        while not self.over.is_set():
            try:
                connection = socket.create_connection(self.address, timeout=3)
            except OSError:
                self.counts["refused"] += 1
                return
            with connection:
                try:
                    while self._answered(connection) and keep and not self.over.is_set():
                        pass
                except OSError as error:
                    self.counts["lost"] += 1
                    self.problems[str(error)] += 1

    def _answered(self, connection: socket.socket) -> bool:
        """Ask once; return whether the connection is good for another request. :raises OSError: no whole answer."""
        connection.settimeout(30)
        connection.sendall(self.request)
        answer = b""
        while not answer.endswith(self.end):
            more = connection.recv(65536)
            if not more:
                raise OSError(f"the connection ended after {answer[-60:]!r}")
            answer += more
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise OSError(f"{answer[:60]!r}")
        self.counts["answered"] += 1
        return b"\r\nConnection: close\r\n" not in answer


@contextmanager
def load(address: tuple[str, int], path: str, end: bytes = END, host: str = "localhost") -> Iterator[Load]:
    """Have clients at work for the length of the block; it is to end the server, and they end with it."""
    made = Load(address, path, end, host)
    for thread in made.threads:
        thread.start()
    time.sleep(0.5)
    try:
        yield made
        for thread in made.threads:
            thread.join(20)
    finally:
        made.over.set()
