"""Ask for a page again and again, each time on a new connection, until our standard input ends; print a count as JSON.

    load.py ADDRESS:PORT PATH THREADS PAUSE

PAUSE is in seconds, after each request of a thread. A request has failed when it gets another answer than 200, or none
within 20 seconds: CI's machines are busy.
"""

from __future__ import annotations

import collections
import http.client
import json
import sys
import threading
import time

LIMIT_S = 20
# What an Ingress adds to a request for a site whose name the project knows.
HEADERS = {"Host": "localhost", "X-Forwarded-Proto": "https"}


class Load:
    def __init__(self, address: str, path: str, pause: float) -> None:
        self.address, self.path, self.pause = address, path, pause
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.answers: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0

    def run(self) -> None:
        while not self.over.wait(self.pause):
            start = time.monotonic()
            outcome = self.ask()
            with self.lock:
                self.answers[outcome] += 1
                self.slowest = max(self.slowest, time.monotonic() - start)

    def ask(self) -> str:
        connection = http.client.HTTPConnection(self.address, timeout=LIMIT_S)
        try:
            connection.request("GET", self.path, headers=HEADERS)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            connection.close()
        return str(answer.status)


def main() -> None:
    address, path, threads, pause = sys.argv[1:]
    load = Load(address, path, float(pause))
    workers = [threading.Thread(target=load.run) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    sys.stdin.read()
    load.over.set()
    for worker in workers:
        worker.join()
    failed = {outcome: number for outcome, number in load.answers.items() if outcome != "200"}
    print(
        json.dumps(
            {
                "requests": load.answers.total(),
                "failed": sum(failed.values()),
                "failures": failed,
                "slowest_s": round(load.slowest, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
