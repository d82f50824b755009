#!/usr/bin/env python3
"""Measure the stack on the Docker engine of this machine: `python benchmarks/run.py [NAME ...]`, all without a name.

Works on a copy of the tree, under a project name, ports and caches of its own, and removes them at the end; caches and
containers of others are neither used nor pruned. Each figure is the median of several runs, with the least and the
greatest of them. A run starts once the processors are idle, or after a minute; how busy they were is printed with it.

PYTHON_IMAGE, POSTGRES_IMAGE and BROKER_IMAGE come from the environment, else from the tree's .env, else are upstream's.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIVE, READY = "/status/", "/status/ready/"
IMAGES = ("PYTHON_IMAGE", "POSTGRES_IMAGE", "BROKER_IMAGE")
MESSAGES, WARM_UP = 100, 100
PORTS = ("APP_PUBLISHED_PORT", "DB_PUBLISHED_PORT", "BROKER_PUBLISHED_PORT")
IDLE, IDLE_WAIT_S = 0.8, 60
LIMIT_S = 120
DATA_MB = 100

# A task of the copied tree: appends the seconds since its publication to a file of the worker.
TASK = """

@shared_task
def note_start(published: float) -> None:
    import time

    with open("/tmp/latency", "a") as file:
        file.write(f"{time.time() - published}\\n")
"""
# The first ones, unmeasured, let the connections be opened and the broker's JVM compile. Then pauses of no fixed
# length, so that they do not fall in step with a poller.
PUBLISH = f"""
import random, time
from users.tasks import note_start
for _ in range({WARM_UP}):
    note_start.delay(time.time())
time.sleep(3)
for _ in range({MESSAGES}):
    time.sleep(random.uniform(0.2, 0.6))
    note_start.delay(time.time())
"""


class Figure(NamedTuple):
    """A row of the table; *reference* and *rival* are the figures of issue 3 that it is compared with."""

    name: str
    unit: str
    runs: list[float]
    reference: float | None
    rival: float | None


class Bench:
    """A copy of the tree, and the commands that run in it."""

    def __init__(self, folder: Path, runs: int) -> None:
        self.folder, self.runs = folder, runs
        self.figures: list[Figure] = []
        self.project = f"bench-{secrets.token_hex(4)}"
        self.caches = f"BUILDKIT_CACHE_MOUNT_NS={self.project}"
        self.environ = {**os.environ, **base_images(), "COMPOSE_PROJECT_NAME": self.project, "WORKER_RELOAD": "0"}
        self.environ |= dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.port = int(self.environ["APP_PUBLISHED_PORT"])
        for name in output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT).split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)

    def call(self, *command: str, **environ: str) -> str:
        """Run a command in the copy and return its standard output; its failure ends the benchmark."""
        return output(list(command), self.folder, {**self.environ, **environ})

    def build(self, target: str, *options: str) -> float:
        """Build the image of a stage; return the seconds."""
        options = ("--build-arg", self.caches, *options)
        return seconds(lambda: self.call("docker", "compose", "build", *options, "app", BUILD_TARGET=target))

    def image(self, target: str) -> str:
        return f"{self.project}-app:{target}"

    def add(self, name: str, unit: str, runs: list[float], reference: float | None, rival: float | None) -> None:
        """Note a figure, and print it at once."""
        self.figures.append(Figure(name, unit, runs, reference, rival))
        print(row(self.figures[-1]), flush=True)

    def remove(self) -> None:
        """Remove containers, volumes, images and caches of this project."""
        for target in ("dev", "prod"):
            self.quietly("docker", "image", "rm", "--force", self.image(target))
        self.quietly("docker", "compose", "down", "--volumes", "--remove-orphans", "--timeout", "3")
        records = [json.loads(line) for line in self.quietly("docker", "buildx", "du", "--format", "json").splitlines()]
        for record in records:
            if self.project in (record.get("Description") or ""):
                self.quietly("docker", "buildx", "prune", "--force", "--all", "--filter", f"id={record['ID']}")

    def quietly(self, *command: str) -> str:
        """Run a command of the clean-up, which goes on after one that fails."""
        done = subprocess.run(command, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"clean-up: {' '.join(command)}: {done.stderr.strip()}", file=sys.stderr)
        return done.stdout


def output(command: list[str], folder: Path, environ: dict[str, str] | None = None) -> str:
    """Return the standard output of a command. :raises SystemExit: it failed; says how."""
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def base_images() -> dict[str, str]:
    """Return the base images that the tree's own .env names."""
    file = ROOT / ".env"
    text = file.read_text() if file.exists() else ""
    named = dict(re.findall(rf"(?m)^({'|'.join(IMAGES)})=(\S+)$", text))
    return {name: os.environ.get(name) or named[name] for name in IMAGES if os.environ.get(name) or name in named}


def free_ports(count: int) -> list[str]:
    """Return ports that nothing on this machine listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def idle_share(period: float = 1.0) -> float:
    """Return which share of the processors' time was idle during the next *period* seconds."""

    def times() -> list[int]:
        return [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]

    before = times()
    time.sleep(period)
    spent = [after - earlier for after, earlier in zip(times(), before, strict=True)]
    return (spent[3] + spent[4]) / max(1, sum(spent[:8]))


def when_idle() -> None:
    """Wait until the machine has little else to do, a minute at most."""
    deadline = time.monotonic() + IDLE_WAIT_S
    while (share := idle_share()) < IDLE and time.monotonic() < deadline:
        pass
    if share < IDLE:
        print(f"  busy: {share:.0%} idle, load {os.getloadavg()[0]:.1f}; measuring all the same", flush=True)


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes, begun when the machine is idle."""
    when_idle()
    started = time.monotonic()
    action()
    return time.monotonic() - started


def answers(port: int, path: str) -> bool:
    """Say whether a GET of that path is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def until_answers(port: int, started: float, path: str) -> float:
    """Return the seconds from *started* to the first 200."""
    while not answers(port, path):
        if time.monotonic() - started > LIMIT_S:
            raise SystemExit(f"no 200 from {path} on port {port} within {LIMIT_S} s")
        time.sleep(0.01)
    return time.monotonic() - started


def start_to_answers(port: int, command: list[str], bench: Bench) -> tuple[float, float]:
    """Start a command; return the seconds to the first 200 of the liveness and of the readiness path."""
    when_idle()
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=bench.folder, env=bench.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        live, ready = until_answers(port, started, LIVE), until_answers(port, started, READY)
        said, _ = process.communicate(timeout=LIMIT_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed ({process.returncode}):\n{said}")
    return live, ready


def build(bench: Bench) -> None:
    """Builds without layers: with empty cache mounts (nothing downloaded before), and with full ones."""
    for target in ("dev", "prod"):
        cold = []
        for _ in range(bench.runs):
            # BuildKit's own argument for another set of cache mounts: those of others stay.
            bench.caches = f"BUILDKIT_CACHE_MOUNT_NS={bench.project}-{secrets.token_hex(4)}"
            cold.append(bench.build(target, "--no-cache"))
        bench.add(f"{target} image, no cache at all", "s", cold, 23.8, 27)
        warm = [bench.build(target, "--no-cache") for _ in range(bench.runs)]
        bench.add(f"{target} image, no layers, downloads cached", "s", warm, None, None)


def edit(bench: Bench) -> None:
    """Rebuilds after a line was added to a module of the project."""
    module = bench.folder / "app/users/models.py"
    for target, reference, rival in (("prod", 0.33, 2.7), ("dev", 0.26, 1.0)):
        bench.build(target)
        runs = []
        for number in range(2 * bench.runs):
            module.write_text(f"{module.read_text()}\n# {bench.project} {target} {number}\n")
            runs.append(bench.build(target))
        bench.add(f"{target} rebuild after an edit", "s", runs, reference, rival)


def new_packages(bench: Bench) -> Iterator[str]:
    """Yield locked packages, wheels for any platform, that the production image lacks."""
    present = set(re.findall(r"(?m)^([\w.-]+)==", (bench.folder / "requirements/prod.txt").read_text()))
    for name, block in re.findall(r"(?m)^(([\w.-]+)==.*(?:\n    .*)*)", (bench.folder / "locks/berth.txt").read_text()):
        if block not in present and "; " not in name:
            yield name


def dependency(bench: Bench) -> None:
    """Rebuilds of the production image after a package was added that is in no cache."""
    lock = bench.folder / "requirements/prod.txt"
    before = lock.read_text()
    bench.build("prod")
    runs = []
    for package, _ in zip(new_packages(bench), range(bench.runs), strict=False):
        lock.write_text(f"{before.rstrip()}\n# {bench.project}: no layer of an earlier benchmark fits\n{package}\n")
        runs.append(bench.build("prod"))
    lock.write_text(before)
    bench.add("prod rebuild after one added dependency", "s", runs, 23.5, 8.8)


def size(bench: Bench) -> None:
    """What the production image adds to its base."""
    bench.build("prod")
    base = bench.environ.get("PYTHON_IMAGE", "python:3.13-slim-trixie")
    image, below = (
        int(bench.call("docker", "image", "inspect", "--format", "{{.Size}}", name)) / 1e6
        for name in (bench.image("prod"), base)
    )
    bench.add("prod image above its base", "MB", [image - below], 198, 161)


def up(bench: Bench) -> None:
    """`./inv up` from built images and empty volumes."""
    bench.build("dev")
    live, ready = [], []
    for _ in range(bench.runs):
        bench.call("docker", "compose", "down", "--volumes", "--timeout", "3")
        first, second = start_to_answers(bench.port, ["./inv", "up"], bench)
        live.append(first)
        ready.append(second)
    bench.add("up to the first 200", "s", live, 6.2, 3.5)
    bench.add("up to the first 200 of /status/ready/", "s", ready, 6.2, 3.5)


def embedded(bench: Bench) -> None:
    """`./inv up` without containers: the first, which installs, and others on no data, and on what there was."""
    bench.quietly("docker", "compose", "down", "--volumes", "--timeout", "3")
    bench.environ["BERTH_ENGINE"] = "embedded"
    state = bench.folder / ".berth"
    installed = seconds(lambda: bench.call("./inv", "up"))
    empty, kept = [], []
    for _ in range(bench.runs):
        bench.call("./inv", "down")
        kept.append(start_to_answers(bench.port, ["./inv", "up"], bench)[1])
        bench.call("./inv", "down")
        shutil.rmtree(state / "data")
        empty.append(start_to_answers(bench.port, ["./inv", "up"], bench)[1])
    bench.call("./inv", "down")
    del bench.environ["BERTH_ENGINE"]
    bench.add("embedded: first up, with the installation", "s", [installed], None, None)
    bench.add("embedded: up without data to /status/ready/", "s", empty, None, None)
    bench.add("embedded: up with data to /status/ready/", "s", kept, None, None)


@contextmanager
def stack(bench: Bench) -> Iterator[None]:
    """Have the stack up, on fresh volumes and with the present code."""
    bench.build("dev")
    bench.call("docker", "compose", "down", "--volumes", "--timeout", "3")
    bench.call("docker", "compose", "up", "--detach", "--wait")
    try:
        yield
    finally:
        bench.call("docker", "compose", "down", "--volumes", "--timeout", "3")


def prod_start(bench: Bench) -> None:
    """`docker run` of the production image on a migrated database."""
    bench.build("prod")
    with stack(bench):
        services = json.loads(bench.call("docker", "compose", "config", "--format", "json"))["services"]
        environ = {
            **{name: str(value) for name, value in services["app"]["environment"].items()},
            "DJANGO_SETTINGS_MODULE": "app.settings.prod",
            "ALLOWED_HOSTS": "localhost",
        }
        name, (port,) = f"{bench.project}-prod", free_ports(1)
        command = ["docker", "run", "--detach", "--init", "--name", name, "--network", f"{bench.project}_default"]
        command += ["--publish", f"127.0.0.1:{port}:8000"]
        command += [word for item in environ.items() for word in ("--env", "=".join(item))]
        live, ready = [], []
        for _ in range(2 * bench.runs):
            try:
                first, second = start_to_answers(int(port), [*command, bench.image("prod")], bench)
            finally:
                bench.call("docker", "rm", "--force", name)
            live.append(first)
            ready.append(second)
    bench.add("prod container to the first 200", "s", live, 11.3, 1.9)
    bench.add("prod container to the first 200 of /status/ready/", "s", ready, 11.3, 1.9)


def stop(bench: Bench) -> None:
    """`docker stop` of the idle app and worker, one after the other."""
    times: dict[str, list[float]] = {"app": [], "worker-default": []}
    codes: dict[str, set[str]] = {name: set() for name in times}
    with stack(bench):
        for _ in range(bench.runs):
            for name, runs in times.items():
                container = f"{bench.project}-{name}-1"
                runs.append(seconds(lambda container=container: bench.call("docker", "stop", container)))
                codes[name].add(bench.call("docker", "inspect", "--format", "{{.State.ExitCode}}", container).strip())
            bench.call("docker", "compose", "up", "--detach", "--wait")
    for name, runs in times.items():
        bench.add(f"docker stop of {name}, exit code {' or '.join(sorted(codes[name]))}", "s", runs, 10.2, None)


def latency(bench: Bench) -> None:
    """From just before a task is published to its first line, on an idle worker."""
    module = bench.folder / "app/users/tasks.py"
    before = module.read_text()
    module.write_text(before + TASK)
    try:
        with stack(bench):
            when_idle()
            bench.call("docker", "compose", "exec", "-T", "app", "python", "manage.py", "shell", "-c", PUBLISH)
            time.sleep(3)
            noted = bench.call("docker", "compose", "exec", "-T", "worker-default", "cat", "/tmp/latency")
    finally:
        module.write_text(before)
    waits = [float(line) for line in noted.split()]
    if len(waits) != WARM_UP + MESSAGES:
        raise SystemExit(f"{len(waits)} of {WARM_UP + MESSAGES} tasks ran")
    runs = [1000 * each for each in waits[WARM_UP:]]
    percentiles = statistics.quantiles(runs, n=100)
    bench.add("publish to task start, median", "ms", runs, 16, None)
    bench.add("publish to task start, 95th percentile", "ms", [percentiles[94]], 23, None)


def through(bench: Bench, line: list[str], source: Path) -> tuple[float, str]:
    """Run a line on the bytes of a file; return the seconds, and the hash of what came out."""
    with source.open("rb") as into, tempfile.TemporaryFile() as out:
        started = time.monotonic()
        subprocess.run(line, cwd=bench.folder, env=bench.environ, stdin=into, stdout=out, stderr=PIPE, check=True)
        took = time.monotonic() - started
        out.seek(0)
        return took, hashlib.file_digest(out, "sha256").hexdigest()


def exec_data(bench: Bench) -> None:
    """Random bytes into a container and out of it, by `./inv exec` and by the line of docker that it shows."""
    docker = ["docker", "compose", "exec", "-T"]
    with stack(bench), tempfile.TemporaryDirectory() as folder:
        source, empty = Path(folder, "data"), Path(os.devnull)
        source.write_bytes(secrets.token_bytes(DATA_MB * 10**6))
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        printed = hashlib.sha256(f"{digest}  -\n".encode()).hexdigest()
        through(bench, [*docker, "app", "dd", "of=/tmp/data", "bs=1M"], source)
        for name, words, given, expected in (
            ("into", ["app", "sha256sum"], source, printed),
            ("out of", ["app", "cat", "/tmp/data"], empty, digest),
        ):
            ratios = []
            for _ in range(4 * bench.runs):
                raw, ours = (through(bench, [*line, *words], given) for line in (docker, ["./inv", "exec"]))
                if {raw[1], ours[1]} != {expected}:
                    raise SystemExit(f"the {DATA_MB} MB {name} a container came out changed")
                ratios.append(ours[0] / raw[0])
            bench.add(f"{DATA_MB} MB {name} a container, times docker's own", "x", ratios, None, None)


def ps(bench: Bench) -> None:
    """`./inv ps` beside docker's own and a bare start together, in turns: ours, and Invoke's without the launcher."""
    starts = {"`./inv --version`": ["./inv", "--version"], "`inv --version`": [".venv/bin/inv", "--version"]}
    lines = [["./inv", "ps"], ["docker", "compose", "ps", "--all"], *starts.values()]
    with stack(bench):
        when_idle()
        # Each run by its medians: one start takes a tenth of a second, and varies by a fifth.
        runs = []
        for _ in range(bench.runs):
            rounds = [[through(bench, line, Path(os.devnull))[0] for line in lines] for _ in range(20)]
            runs.append([statistics.median(times) for times in zip(*rounds, strict=True)])
    bench.add("`./inv ps`", "s", [task for task, *_ in runs], None, None)
    for position, name in enumerate(starts, start=2):
        ratios = [times[0] / (times[1] + times[position]) for times in runs]
        bench.add(f"`./inv ps`, times docker's own and {name}", "x", ratios, None, None)


BENCHMARKS = (build, edit, dependency, size, up, embedded, prod_start, stop, latency, exec_data, ps)


def row(figure: Figure) -> str:
    """Return a line of the table in Markdown."""
    middle = statistics.median(figure.runs)

    def beside(other: float | None) -> str:
        return "—" if other is None else f"{other:g} ({other / middle:.1f}x)"

    digits = 0 if figure.unit == "MB" else 1 if figure.unit == "ms" or middle >= 10 else 2
    spread = f"{min(figure.runs):.{digits}f} to {max(figure.runs):.{digits}f}" if len(figure.runs) > 1 else ""
    cells = (figure.name, f"{middle:.{digits}f} {figure.unit}", spread, beside(figure.reference), beside(figure.rival))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    names = [benchmark.__name__.replace("_", "-") for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(names)}")
    parser.add_argument("--runs", type=int, default=3, help="runs of each (3)")
    options = parser.parse_args()
    # So that the clean-up is not skipped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if unknown := set(options.names) - set(names):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(names)}")
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as folder:
        bench = Bench(Path(folder), options.runs)
        try:
            # Makes .env and the launcher's virtualenv, which are no part of any figure.
            bench.call("./inv", "config")
            print("| what | median | least to greatest | reference | best rival |\n|---|---|---|---|---|", flush=True)
            for name, benchmark in zip(names, BENCHMARKS, strict=True):
                if not options.names or name in options.names:
                    benchmark(bench)
        finally:
            bench.remove()


if __name__ == "__main__":
    main()
