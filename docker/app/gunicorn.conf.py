"""gunicorn, told by the environment.

WEB_CONCURRENCY         worker processes (the CPUs that the container may use)
GUNICORN_THREADS        threads of each worker, that is requests it serves at a time (4)
GUNICORN_TIMEOUT        seconds after which a worker that no longer stirs is replaced (60)
GUNICORN_ACCESS_LOG     `-` for standard output, `none` where the project logs its requests itself (-)
FORWARDED_ALLOW_IPS     comma separated addresses or networks of the proxies whose X-Forwarded-* are believed
"""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
problems: list[str] = []


def whole_number(name: str, default: int) -> int:
    """Return the variable *name*, *default* when it is unset or empty; note a problem when it is below 1."""
    value = os.environ.get(name) or str(default)
    if value.isascii() and value.isdigit() and int(value) >= 1:
        return int(value)
    problems.append(f"{name} is `{value}`: set a whole number from 1")
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
worker_class = "gthread"
workers = whole_number("WEB_CONCURRENCY", cpus())
threads = whole_number("GUNICORN_THREADS", 4)
timeout = whole_number("GUNICORN_TIMEOUT", 60)
# Below the 30 s that Compose leaves a container to stop (stop_grace_period), so that gunicorn ends before it
# is killed.
graceful_timeout = 25
# Above the 60 s for which load balancers keep their connections: the side that closes first must not be this
# one.
keepalive = 65
# Each worker is replaced now and then, against leaks; not all of them at once.
max_requests = 1000
max_requests_jitter = 100
# The heartbeat is a file; on a disk its update may block for longer than `timeout`.
# https://docs.gunicorn.org/en/stable/faq.html#how-do-i-avoid-gunicorn-excessively-blocking-in-os-fchmod
worker_tmp_dir = "/dev/shm"
# It would want a writable home, and nobody talks to it.
control_socket_disable = True
accesslog = {"-": "-", "none": None}.get(os.environ.get("GUNICORN_ACCESS_LOG") or "-", "?")
if accesslog == "?":
    problems.append(f"GUNICORN_ACCESS_LOG is `{os.environ['GUNICORN_ACCESS_LOG']}`: set `-` or `none`")
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS") or "127.0.0.1,::1"

if problems:
    raise SystemExit("\n".join(f"gunicorn.conf.py: {problem}" for problem in problems))
