#!/usr/bin/env python
"""See whether the server of this container serves, refuses, and is hardened: a line for each thing, 1 if one is wrong.

In the container it is called `smoke-test`. It asks as a proxy that opens TLS would, with the first of ALLOWED_HOSTS.

HEALTH_PATH    the path that answers 200 (/status/ready/)
"""

import http.client
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import django

PORT = 8000
READY_SECONDS = 10
NO_PAGE = "/no-such-page-of-the-smoke-test/"

Seen = tuple[str, bool, object]


def get(path: str) -> tuple[int, bytes]:
    """Return the status and the body of a page."""
    from django.conf import settings

    host = next((name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"), "localhost")
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    connection.request("GET", path, headers={"Host": host, "X-Forwarded-Proto": "https"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def pages() -> Iterator[Seen]:
    """Give what was seen of pages: what it is, whether it is right, and otherwise what was seen."""
    from django.test import RequestFactory
    from django.urls import get_resolver

    path = os.environ.get("HEALTH_PATH") or "/status/ready/"
    until = time.monotonic() + READY_SECONDS
    status, body = get(path)
    # One slow answer of a service is no fault of the image.
    while status != 200 and time.monotonic() < until:
        time.sleep(1)
        status, body = get(path)
    yield f"{path} answers 200", status == 200, f"{status}: {body[:500]!r}"
    status, body = get(NO_PAGE)
    yield "a page that is not there answers 404", status == 404, status
    yield "and tells nothing of the code", not any(word in body for word in (b"Traceback", b"DEBUG", b"URLconf")), body
    answer = get_resolver().resolve_error_handler(500)(RequestFactory(SERVER_NAME="localhost").get("/"))
    yield "the page of an error can be shown", answer.status_code == 500, answer.status_code


def static_file() -> Iterator[Seen]:
    """Give what was seen of a style sheet, if there is one."""
    from django.conf import settings

    root = Path(settings.STATIC_ROOT) if settings.STATIC_ROOT else None
    sheets = sorted(root.rglob("*.css")) if root and root.is_dir() else []
    if sheets and settings.STATIC_URL.startswith("/"):
        url = f"{settings.STATIC_URL}{sheets[0].relative_to(root)}"
        status, body = get(url)
        yield f"{url} is served", (status, body) == (200, sheets[0].read_bytes()), status


def hardening() -> Iterator[Seen]:
    """Give what the kernel says of this process, which has what the server has."""
    status = dict(row.split(":\t", 1) for row in Path("/proc/self/status").read_text().splitlines() if ":\t" in row)
    mounts = [row.split() for row in Path("/proc/self/mounts").read_text().splitlines()]
    root = [row[3].split(",") for row in mounts if row[1] == "/"][-1]
    yield "the user is not root", os.getuid() != 0, os.getuid()
    yield "there are no capabilities", int(status["CapEff"], 16) == 0 == int(status["CapBnd"], 16), status["CapBnd"]
    yield "no process gets more privileges", status["NoNewPrivs"] == "1", status["NoNewPrivs"]
    yield "the file system is read-only", "ro" in root, root
    yield "the code cannot be changed", not os.access(os.getcwd(), os.W_OK), os.getcwd()


def main() -> int:
    # As `manage.py` does, which need not have that name.
    sys.path.insert(0, os.getcwd())
    django.setup()
    wrong = 0
    for what, right, seen in (seen for part in (pages, static_file, hardening) for seen in part()):
        print("ok  " if right else "FAIL", what, "" if right else f"({seen!r})", flush=True)
        wrong += not right
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
