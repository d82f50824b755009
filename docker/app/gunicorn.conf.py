"""gunicorn, told by the environment. It serves any WSGI application; what is special is done in gunicorn's own hooks.

ASGI_MODULE, when it is set, names an ASGI application: uvicorn's worker serves it, and writes its own access log. It
has no threads, leaves X-Request-ID to the proxy, and keeps connections open while the server drains.

WEB_CONCURRENCY            worker processes (the CPUs that the container may use)
GUNICORN_THREADS           threads of each worker, that is requests it serves at a time (16)
GUNICORN_TIMEOUT           seconds after which a worker that no longer stirs is replaced (60)
GUNICORN_GRACEFUL_TIMEOUT  seconds that requests get to end once the server stops (25)
GUNICORN_MAX_REQUESTS      requests after which a worker is replaced, against leaks; 0: none is (0)
GUNICORN_ACCESS_LOG        `json`: one object for each request; `-`: gunicorn's own line; `none`: nothing (json)
FORWARDED_ALLOW_IPS        comma separated addresses or networks of the proxies whose X-Forwarded-* are believed
DRAIN_SECONDS              seconds from SIGTERM to the stop, in which everything is served but HEALTH_PATH (5)
BERTH_LIB                  folder of berth_telemetry.py, if OTEL_EXPORTER_OTLP_ENDPOINT is set (/usr/local/lib/berth)
HEALTH_PATH                path by which a balancer asks whether this container is ready (/status/ready/)

Each thread of each worker may hold a database connection: WEB_CONCURRENCY x GUNICORN_THREADS a container. All
containers together have to stay below the server's `max_connections`.

On SIGTERM the server drains. HEALTH_PATH answers 503, so that a balancer sends no more; who comes all the same is
served, and asked to close the connection. After DRAIN_SECONDS the server stops, and after GUNICORN_GRACEFUL_TIMEOUT
more, it does not wait for requests any longer. A second SIGTERM ends the drain; SIGINT and SIGQUIT do without one.
"""

import importlib.util
import json
import math
import mmap
import os
import re
import signal
import socket
import sys
import uuid
from datetime import datetime, timezone
from pathlib import Path

from gunicorn.glogging import Logger

CGROUP = Path("/sys/fs/cgroup")
problems: list[str] = []


def whole_number(name: str, default: int, least: int = 1) -> int:
    """Return the variable *name*, *default* when it is unset or empty; note a problem when it is below *least*."""
    value = os.environ.get(name) or str(default)
    if value.isascii() and value.isdigit() and int(value) >= least:
        return int(value)
    problems.append(f"{name} is `{value}`: set a whole number from {least}")
    return default


def cpus(cgroup: Path = CGROUP) -> int:
    """Return how many CPUs this container may use: its affinity, cut down to the quota of its control group.

    Neither os.cpu_count() nor os.process_cpu_count() knows the quota (`docker run --cpus`).
    """
    available = len(os.sched_getaffinity(0))
    quota, period = cpu_quota(cgroup)
    return min(available, math.ceil(quota / period)) if quota > 0 else available


def cpu_quota(cgroup: Path) -> tuple[int, int]:
    """Return quota and period in microseconds from control groups v2 or v1; a quota <= 0 means none."""
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        if all((cgroup / name).is_file() for name in names):
            quota, period = " ".join((cgroup / name).read_text() for name in names).split()
            return (0 if quota == "max" else int(quota)), int(period)
    return 0, 1


bind = "0.0.0.0:8000"
IS_ASGI = bool(os.environ.get("ASGI_MODULE"))
worker_class = "gthread"
if IS_ASGI:
    # The package of its own, which uvicorn asks for, or what uvicorn had before there was one.
    has_own = importlib.util.find_spec("uvicorn_worker")
    worker_class = f"{'uvicorn_worker' if has_own else 'uvicorn.workers'}.UvicornWorker"
workers = whole_number("WEB_CONCURRENCY", cpus())
# A thread that waits, for the database or another server, costs next to nothing; what computes is no slower for them.
threads = whole_number("GUNICORN_THREADS", 16)
timeout = whole_number("GUNICORN_TIMEOUT", 60)
# With the drain before it, below the 35 s that Compose leaves the container to stop (stop_grace_period).
graceful_timeout = whole_number("GUNICORN_GRACEFUL_TIMEOUT", 25)
# Above the 60 s for which load balancers keep their connections: the side that closes first must not be this
# one.
keepalive = 65
# Under load 1000, as often advised, replaces every worker each second or two, and halves what is served.
max_requests = whole_number("GUNICORN_MAX_REQUESTS", 0, least=0)
max_requests_jitter = max_requests // 10
# The heartbeat is a file; on a disk its update may block for longer than `timeout`.
# https://docs.gunicorn.org/en/stable/faq.html#how-do-i-avoid-gunicorn-excessively-blocking-in-os-fchmod
worker_tmp_dir = "/dev/shm"
# It would want a writable home, and nobody talks to it.
control_socket_disable = True
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS") or "127.0.0.1,::1"

# --- One line a request ------------------------------------------------------

HEALTH_PATH = os.environ.get("HEALTH_PATH") or "/status/ready/"
REQUEST_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
LEVELS = {"4": "warning", "5": "error"}


class JsonLines(Logger):
    """Write one object a request to standard output, without what gunicorn collects for its own format, nor a record.

    Neither addresses nor query strings: they are about persons, or secret. A probe that is answered well leaves no
    line, nor does one that is told of the drain.
    """

    def access(self, resp, req, environ, request_time):
        status = str(resp.status)[:3]
        if req.path == HEALTH_PATH and (status == "200" or DRAINING[0]):
            return
        line = {
            "timestamp": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "level": LEVELS.get(status[0], "info"),
            "logger": "gunicorn.access",
            "event": "request",
            "request": f"{req.method} {req.path}",
            "code": int(status),
            "bytes": resp.sent,
            "ms": round(request_time.total_seconds() * 1000, 2),
            # Not from `environ`, which is not whole when the application has failed.
            "request_id": dict(req.headers).get("X-REQUEST-ID"),
        }
        # One call of the system, so that lines of several threads and workers do not mix.
        os.write(1, json.dumps(line).encode() + b"\n")


access_log = os.environ.get("GUNICORN_ACCESS_LOG") or "json"
accesslog = "-" if access_log == "-" else None
if access_log == "json":
    logger_class = JsonLines
elif access_log not in ("-", "none"):
    problems.append(f"GUNICORN_ACCESS_LOG is `{access_log}`: set `json`, `-` or `none`")


def pre_request(worker, req):
    """Give each request an id, which the application finds in X-Request-ID; that of a proxy is kept."""
    ids = [value for name, value in req.headers if name == "X-REQUEST-ID"]
    if len(ids) != 1 or not REQUEST_ID.fullmatch(ids[0]):
        req.headers[:] = [header for header in req.headers if header[0] != "X-REQUEST-ID"]
        req.headers.append(("X-REQUEST-ID", str(uuid.uuid4())))
    if DRAINING[0]:
        # So that who keeps a connection comes again elsewhere.
        req.force_close()


# --- Telemetry ---------------------------------------------------------------


def telemetry():
    """Return the module that starts OpenTelemetry, where a variable of it is set."""
    if not any(name.startswith("OTEL_EXPORTER_OTLP_") and value for name, value in os.environ.items()):
        return None
    sys.path.append(os.environ.get("BERTH_LIB") or "/usr/local/lib/berth")
    import berth_telemetry

    berth_telemetry.complain()
    return berth_telemetry


TELEMETRY = telemetry()


def post_fork(server, worker):
    """Start telemetry in each worker, before the application is loaded."""
    if TELEMETRY:
        TELEMETRY.start("app")


# --- Draining ----------------------------------------------------------------

drain = whole_number("DRAIN_SECONDS", 5, least=0)
# One byte that the master sets and all workers see.
DRAINING = mmap.mmap(-1, 1)
# Seconds in which the workers take what the kernel has accepted for them.
LAST_CONNECTIONS = 0.3
# Of Linux 5.1; Python has no name for it. The kernel does not ask whether there is such an interface.
SO_BINDTOIFINDEX, NO_INTERFACE = 62, 2**31 - 1


def refuse_new_connections(server):
    """Let the kernel refuse whoever comes from now on, and keep the connections that it has taken for the workers.

    Otherwise it takes more until the sockets are closed, and then resets those that no worker has: their clients have
    sent a request, and cannot know what became of it. A socket bound to an interface that no packet comes by is found
    by none; Linux 5.7 and newer ask for no privilege (tcp(7), socket(7): SO_BINDTODEVICE).
    """
    for listener in server.LISTENERS:
        if listener.family == socket.AF_UNIX:
            continue
        try:
            listener.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, NO_INTERFACE)
        except OSError as error:
            # An older kernel, or a sandbox that lacks it.
            server.log.warning("Connections are taken, and may be reset, while the server stops: %s", error)


def when_ready(server):
    """Put the drain before what gunicorn does on SIGTERM. This hook runs when gunicorn has set its own handlers."""
    master = os.getpid()

    def stop(number, frame):
        """The drain is over."""
        if DRAINING[0] < 2:
            DRAINING[0] = 2
            refuse_new_connections(server)
            signal.setitimer(signal.ITIMER_REAL, LAST_CONNECTIONS)
        else:
            server.signal(signal.SIGTERM, frame)

    def terminated(number, frame):
        if os.getpid() != master:
            # A worker that has not set its own handlers yet.
            server.signal(number, frame)
        elif DRAINING[0]:
            stop(number, frame)
        else:
            DRAINING[0] = 1
            signal.setitimer(signal.ITIMER_REAL, drain or 0.001)

    signal.signal(signal.SIGALRM, stop)
    signal.signal(signal.SIGTERM, terminated)


# A reload (SIGHUP) reads this file anew.
on_reload = when_ready


def post_worker_init(worker):
    """Let HEALTH_PATH answer 503 while the server drains, whatever the application would say."""
    application = worker.wsgi

    async def serve_asgi(scope, receive, send):
        if DRAINING[0] and scope["type"] == "http" and scope["path"] == HEALTH_PATH:
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"9"), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": b"draining\n"})
        else:
            await application(scope, receive, send)

    def serve(environ, start_response):
        if DRAINING[0] and environ["PATH_INFO"] == HEALTH_PATH:
            body = b"draining\n"
            headers = [
                ("Content-Type", "text/plain"),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
            ]
            start_response("503 Service Unavailable", headers)
            return [body]
        return application(environ, start_response)

    worker.wsgi = serve_asgi if IS_ASGI else serve


if problems:
    raise SystemExit("\n".join(f"gunicorn.conf.py: {problem}" for problem in problems))
