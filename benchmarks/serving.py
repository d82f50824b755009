#!/usr/bin/env python3
"""Measure what the shipped image serves, beside one sync worker of gunicorn: `python benchmarks/serving.py`.

Both run from the same image, on the same database, in turns, each in a container of its own with two processors; `wrk`
(https://github.com/wg/wrk, a package of Debian) asks from the host, by 32 connections that it keeps. Three views join
the copied tree: one that computes nothing, one that reads a row, and one that waits for 100 ms.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from run import Bench, stack, when_idle

VIEWS = """

import time

from django.contrib.auth import get_user_model
from django.http import HttpResponse


def constant(request):
    return HttpResponse("done")


def database(request):
    return HttpResponse(str(get_user_model().objects.filter(pk=1).first()))


def waiting(request):
    time.sleep(0.1)
    return HttpResponse("done")


urlpatterns += [path(f"bench/{view.__name__}/", view) for view in (constant, database, waiting)]
"""
SHIPPED = ["start-prod-server.sh"]
# The line of the system that Berth re-implements.
ONE_SYNC_WORKER = ["gunicorn", "app.wsgi", "--bind", "0.0.0.0:8000", "--workers", "1", "--worker-class", "sync",
                   "--no-control-socket"]  # fmt: skip
CONNECTIONS = 32
LIMIT_S = 60


class Load(NamedTuple):
    """What wrk measured.

    :param failed: requests that were not answered, or with an error.
    """

    per_second: float
    p99_ms: float
    failed: int


def parse(said: str) -> Load:
    """Return the figures in the output of `wrk --latency`."""
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", said).groups()
    errors = sum(int(count) for count in re.findall(r"(?:connect|read|write|timeout) (\d+)", said))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    per_second = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    factor = {"us": 0.001, "ms": 1, "s": 1000}[unit]
    return Load(per_second, float(number) * factor, errors + (int(refused[1]) if refused else 0))


def ask(address: str, view: str, seconds: int) -> Load:
    """Have 32 clients ask for a view."""
    headers = ["-H", "Host: localhost", "-H", "X-Forwarded-Proto: https"]
    line = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s", "--latency"]
    url = f"http://{address}:8000/bench/{view}/"
    return parse(subprocess.run([*line, *headers, url], capture_output=True, text=True, check=True).stdout)


class Server:
    """A container of the image that is shipped, on the database of the copied tree's stack."""

    def __init__(self, bench: Bench, command: list[str]) -> None:
        self.bench, self.name = bench, f"{bench.project}-{secrets.token_hex(3)}"
        services = json.loads(bench.call("docker", "compose", "config", "--format", "json"))["services"]
        environ = {
            **{name: value for name, value in services["app"]["environment"].items() if value is not None},
            "DJANGO_SETTINGS_MODULE": "app.settings.prod",
            "ALLOWED_HOSTS": "localhost",
            "USE_X_FORWARDED_PROTO": "true",
        }
        words = [word for item in environ.items() for word in ("--env", "=".join(item))]
        options = ["--detach", "--init", "--cpus", "2", "--name", self.name, "--network", f"{bench.project}_default"]
        bench.call("docker", "run", *options, *words, bench.image("prod"), *command)
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        self.address = bench.call("docker", "inspect", "--format", form, self.name).strip()

    def wait(self) -> None:
        """Return once it serves. :raises SystemExit: it does not."""
        deadline = time.monotonic() + LIMIT_S
        check = ["docker", "exec", self.name, "check-http.sh"]
        while subprocess.run(check, capture_output=True, check=False).returncode:
            if time.monotonic() > deadline:
                logs = ["docker", "logs", "--tail", "20", self.name]
                raise SystemExit(
                    subprocess.run(
                        logs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
                    ).stdout
                )
            time.sleep(0.2)

    def remove(self) -> None:
        self.bench.quietly("docker", "rm", "--force", self.name)


def measure(bench: Bench, seconds: int) -> dict[tuple[str, str], list[Load]]:
    """Return what each server does with each view, in rounds in which all take their turn."""
    found: dict[tuple[str, str], list[Load]] = {}
    for _ in range(bench.runs):
        for name, command in (("shipped", SHIPPED), ("one sync worker", ONE_SYNC_WORKER)):
            server = Server(bench, command)
            try:
                server.wait()
                for view in ("constant", "database", "waiting"):
                    ask(server.address, view, 1)
                    when_idle()
                    load = ask(server.address, view, seconds)
                    print(f"{name}, {view}: {load}", file=sys.stderr, flush=True)
                    found.setdefault((name, view), []).append(load)
            finally:
                server.remove()
    return found


def rows(found: dict[tuple[str, str], list[Load]]) -> list[str]:
    """Return the table."""
    lines = ["| view | server | req/s | least to greatest | p99 | failed | times the sync worker |", "|" + "---|" * 7]
    for (name, view), loads in sorted(found.items(), key=lambda item: item[0][1]):
        rates = [load.per_second for load in loads]
        middle = statistics.median(rates)
        times = middle / statistics.median(load.per_second for load in found["one sync worker", view])
        cells = (view, name, f"{middle:,.0f}", f"{min(rates):,.0f} to {max(rates):,.0f}",
                 f"{statistics.median(load.p99_ms for load in loads):.0f} ms", str(sum(load.failed for load in loads)),
                 f"{times:.1f}x")  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="rounds (3)")
    parser.add_argument("--seconds", type=int, default=6, help="of each measurement (6)")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        parser.error("there is no wrk: `apt-get install wrk`")
    # So that the clean-up is not skipped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as folder:
        bench = Bench(Path(folder), options.runs)
        try:
            bench.call("./inv", "config")
            urls = bench.folder / "app/app/urls.py"
            urls.write_text(urls.read_text() + VIEWS)
            bench.build("prod")
            with stack(bench):
                # They would take the processors' time.
                bench.call("docker", "compose", "stop", "app", "worker-default", "queues")
                found = measure(bench, options.seconds)
            print("\n".join(rows(found)))
        finally:
            bench.remove()


if __name__ == "__main__":
    main()
