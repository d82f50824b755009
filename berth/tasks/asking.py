"""Ask the site that `inv prod.up` has started, through its balancer, while one of its replicas stops."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections import Counter
from types import TracebackType

CLIENTS = 8
PAUSE = 0.02
"""Seconds between two requests of a client: this is about what is lost, not about speed."""


class Asking:
    """Clients that ask by TLS until the block ends, every second one on a connection that it keeps.

    :param address: `host:port` of the balancer.
    :param host: the name of the site.
    :param path: of a page.
    """

    def __init__(self, address: str, host: str, path: str) -> None:
        self.answers: Counter[str] = Counter()
        """How often a status, or the error in its place, was the answer."""
        self._address, self._host, self._path = address, host, path
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=[bool(number % 2)]) for number in range(CLIENTS)]

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, keep: bool) -> None:
        connection = self._connection()
        while not self._over.wait(PAUSE):
            try:
                connection.request("GET", self._path, headers={"Host": self._host})
                answer = connection.getresponse()
                answer.read()
                said = str(answer.status)
            except (OSError, http.client.HTTPException) as failure:
                said = repr(failure)
            self.answers[said] += 1
            if not (keep and said.isdigit()):
                connection.close()
        connection.close()

    def _connection(self) -> http.client.HTTPSConnection:
        # The certificate may be one that nobody vouches for.
        context = ssl._create_unverified_context()
        return http.client.HTTPSConnection(self._address, timeout=30, context=context)


def lost(answers: Counter[str]) -> Counter[str]:
    """Return what is no answer of the site: errors, and the balancer's own for want of one."""
    return Counter({said: times for said, times in answers.items() if not said.isdigit() or int(said) >= 500})
