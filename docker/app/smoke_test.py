#!/usr/bin/env python
"""See whether the server of this container serves, refuses, and is hardened: a line for each thing, 1 if one is wrong.

In the container it is called `smoke-test`. It asks as a proxy that opens TLS would, with the first of ALLOWED_HOSTS.
With words behind it, it does something else:

smoke-test --host                   print that host name
smoke-test --task                   publish a task of Celery's own that does nothing, and print its id
smoke-test --through HOST:TLS:HTTP  ask through the proxy HOST, by its ports for TLS and without; what the settings
                                    leave to others, such as HSTS, is a line that starts with `note`

HEALTH_PATH    the path that answers 200 (/status/ready/)
"""

import http.client
import os
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import django

PORT = 8000
READY_SECONDS = 10
NO_PAGE = "/no-such-page-of-the-smoke-test/"
# Where many projects set some.
COOKIE_PAGES = ("/", "/admin/login/", "/accounts/login/", "/login/")

Seen = tuple[str, object, object]
"""What was asked; True, False, or None: the settings do not ask for it; and what was seen."""


def host() -> str:
    """Return the first name that the site answers to."""
    from django.conf import settings

    return next((name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"), "localhost")


def ask(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes, http.client.HTTPMessage]:
    """Return the status, the body and the headers of a page; whoever asks claims that TLS is done."""
    with closing(connection):
        connection.request("GET", path, headers={"Host": host(), "X-Forwarded-Proto": "https"})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


def get(path: str) -> tuple[int, bytes]:
    """Return the status and the body of a page of this server."""
    return ask(http.client.HTTPConnection("127.0.0.1", PORT, timeout=10), path)[:2]


def patiently(get: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
    """Ask until the answer is 200, for a while: one slow answer of a service is no fault of the image."""
    until = time.monotonic() + READY_SECONDS
    status, body = get()
    while status != 200 and time.monotonic() < until:
        time.sleep(1)
        status, body = get()
    return status, body


def pages() -> Iterator[Seen]:
    """Give what was seen of pages: what it is, whether it is right, and otherwise what was seen."""
    from django.test import RequestFactory
    from django.urls import get_resolver

    path = os.environ.get("HEALTH_PATH") or "/status/ready/"
    status, body = patiently(lambda: get(path))
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


def through(proxy: str) -> Iterator[Seen]:
    """Give what was seen through a proxy in front, whose certificate is believed."""
    from django.conf import settings

    name, tls, plain = proxy.rsplit(":", 2)
    path = os.environ.get("HEALTH_PATH") or "/status/ready/"

    def get(path: str) -> tuple[int, bytes, http.client.HTTPMessage]:
        context = ssl._create_unverified_context()
        return ask(http.client.HTTPSConnection(name, int(tls), timeout=10, context=context), path)

    status, body = patiently(lambda: get(path)[:2])
    yield f"https: {path} answers 200", status == 200, f"{status}: {body[:500]!r}"
    status, _, headers = get(NO_PAGE)
    yield "https: a page that is not there answers 404, and no redirect", status == 404, (status, headers["Location"])
    yield "https: the answer has an id", bool(headers["X-Request-ID"]), headers.items()
    hsts = headers["Strict-Transport-Security"]
    yield "https: browsers are told to insist on it", bool(hsts) if settings.SECURE_HSTS_SECONDS else None, hsts
    cookies = [cookie for path in COOKIE_PAGES for cookie in get(path)[2].get_all("Set-Cookie") or []]
    if cookies:
        bare = [cookie.partition("=")[0] for cookie in cookies if "; secure" not in cookie.lower()]
        is_meant = settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE
        yield "https: cookies are sent by it only", not bare if is_meant or not bare else None, bare
    # That we claim to come by TLS must not count.
    status, _, headers = ask(http.client.HTTPConnection(name, int(plain), timeout=10), NO_PAGE)
    leads = status in (301, 308) and str(headers["Location"]).startswith("https://")
    is_meant = settings.SECURE_SSL_REDIRECT
    yield "http: whoever claims TLS is led to https", leads if is_meant else None, (status, headers["Location"])


def main(words: list[str]) -> int:
    # As `manage.py` does, which need not have that name.
    sys.path.insert(0, os.getcwd())
    django.setup()
    if words == ["--host"]:
        print(host())
        return 0
    if words == ["--task"]:
        from celery.app.utils import find_app

        print(find_app(os.environ.get("CELERY_APP") or "app").send_task("celery.accumulate", ignore_result=True).id)
        return 0
    parts = [pages(), static_file(), hardening()] if not words else [through(words[1])]
    wrong = 0
    for what, right, seen in (seen for part in parts for seen in part):
        verdict = "note" if right is None else "ok  " if right else "FAIL"
        told = "" if right else f"(the settings leave it out: {seen!r})" if right is None else f"({seen!r})"
        print(verdict, what, told, flush=True)
        wrong += right is False
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
