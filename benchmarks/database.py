#!/usr/bin/env python3
"""Measure snapshots and dumps of a database in one run, with the application connected to it.

    python benchmarks/database.py [--sizes MB ...] [--data FOLDER] [--dslr PROGRAM]

Works in a copy of the tree with a stack of its own, which is removed at the end. Each figure is the time of a whole
command, its start included; after each one that brings data back, the hash of all rows must be what it was, and the
application must answer. The base images have to be there: `./inv images.base`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from containers.checkout import Checkout, checkout, docker, within

ROWS_PER_MB = 3500
GROW = """
INSERT INTO item SELECT n, n % 1000, md5(n::text), repeat(md5((n * 7)::text), 4), now() - n * interval '1 s'
FROM generate_series((SELECT count(*) FROM item) + 1, {rows}) AS n;
"""
MAKE = """
CREATE TABLE item (id int PRIMARY KEY, shop int, name text, body text, made timestamptz);
CREATE INDEX ON item (shop);
CREATE INDEX ON item (name);
ALTER TABLE item OWNER TO app;
"""
HASH = "SELECT count(*), sum(hashtextextended(item::text, 0)) FROM item"
OURS = ("snapshot", "restore", "restore --move", "dump", "load")
THEIRS = ("DSLR snapshot", "DSLR restore")


class Bench:
    """A stack of its own, and the commands that are measured in it."""

    def __init__(self, stack: Checkout, dslr: str) -> None:
        self.stack, self.dslr = stack, dslr
        self.figures: dict[tuple[str, int], list[float]] = {}

    def psql(self, query: str) -> str:
        """Return what the database answers, however long that takes."""
        line = [
            "docker",
            "exec",
            self.stack.container("db"),
            "psql",
            "-U",
            "postgres",
            "-qAt",
            "-d",
            "app",
            "-c",
            query,
        ]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()

    def measure(self, name: str, size: int, *line: str) -> None:
        """Run a command, and note its time."""
        # Every one begins with a disk that has nothing left to do.
        self.psql("CHECKPOINT")
        os.sync()
        started = time.monotonic()
        made = subprocess.run(line, cwd=self.stack.root, env=self.stack.environment, capture_output=True, text=True)
        took = time.monotonic() - started
        if made.returncode:
            raise SystemExit(f"{line} ended with {made.returncode}: {made.stderr}{made.stdout}")
        self.figures.setdefault((name, size), []).append(took)
        print(f"{size} MB: {name}: {took:.2f} s", flush=True)

    def whole(self, before: str) -> None:
        """End the benchmark unless all rows are there, and the application works."""
        found = self.psql(HASH)
        assert found == before, f"{found} is not {before}"
        within(30, lambda: self.stack.get("/status/ready/").status == 200, "the application works")

    def round(self, size: int) -> None:
        """Measure everything once at a size."""
        inv = self.stack.task
        before = self.psql(HASH)
        self.measure("snapshot", size, *inv("db.snapshot", "bench"))
        for name, words in {"restore": (), "restore --move": ("--move",)}.items():
            self.psql("UPDATE item SET shop = -1 WHERE id % 1000 = 0")
            self.measure(name, size, *inv("db.restore", "bench", *words, "--no-snapshot", "--yes"))
            self.whole(before)
        target = self.stack.root / f"{size}.dump"
        self.measure("dump", size, *inv("db.dump", str(target)))
        self.psql("UPDATE item SET shop = -1 WHERE id % 1000 = 0")
        self.measure("load", size, *inv("db.load", str(target), "--no-snapshot", "--yes"))
        self.whole(before)
        target.unlink()
        if self.dslr:
            self.theirs(size, before)

    def theirs(self, size: int, before: str) -> None:
        """Measure DSLR, which wants nobody connected: the application is stopped for it."""
        password = quote(self.stack.value("POSTGRES_PASSWORD"))
        url = f"postgres://postgres:{password}@127.0.0.1:{self.stack.port('DB')}/app"
        services = ("app", "worker-default")
        for service in services:
            docker("stop", self.stack.container(service))
        self.measure("DSLR snapshot", size, self.dslr, "--url", url, "snapshot", "bench")
        self.measure("DSLR restore", size, self.dslr, "--url", url, "restore", "bench")
        subprocess.run([self.dslr, "--url", url, "delete", "bench"], check=True, capture_output=True)
        # Its databases belong to whoever ran it.
        self.psql("ALTER DATABASE app OWNER TO app")
        for service in services:
            docker("start", self.stack.container(service))
        self.whole(before)

    def table(self, sizes: list[int]) -> None:
        """Print the medians, and how many times faster snapshots are."""
        print(f"\n| | {' | '.join(f'{size} MB' for size in sizes)} |\n| --- |{' --- |' * len(sizes)}")
        took = {key: statistics.median(runs) for key, runs in self.figures.items()}
        for name in (*OURS, *(THEIRS if self.dslr else ())):
            print(f"| {name} | {' | '.join(f'{took[name, size]:.2f} s' for size in sizes)} |")
        for name in ("restore", "restore --move"):
            cells = [
                (took["dump", size] + took["load", size]) / (took["snapshot", size] + took[name, size])
                for size in sizes
            ]
            print(f"| dump and load / snapshot and {name} | {' | '.join(f'{cell:.1f}x' for cell in cells)} |")


def main() -> None:
    """Measure all sizes, the smallest first."""
    options = _options()
    with checkout() as stack:
        stack.prepare()
        volume = f"{stack.name}_postgres_data"
        if options.data:
            words = ("--opt", "type=none", "--opt", "o=bind", "--opt", f"device={options.data.resolve()}")
            docker("volume", "create", *words, "--label", f"com.docker.compose.project={stack.name}", volume)
        subprocess.run(stack.task("up"), cwd=stack.root, env=stack.environment, check=True, capture_output=True)
        bench = Bench(stack, options.dslr)
        bench.psql(MAKE)
        for size in options.sizes:
            bench.psql(GROW.format(rows=size * ROWS_PER_MB))
            bench.psql("VACUUM ANALYZE item")
            print(bench.psql("SELECT pg_size_pretty(pg_database_size('app'))"), flush=True)
            for _ in range(options.rounds):
                bench.round(size)
        bench.table(options.sizes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[30, 300, 1000], help="in MB, the smallest first")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--data", type=Path, help="an empty folder for the database, such as one on XFS")
    parser.add_argument("--dslr", default="", help="the program `dslr`, to be measured side by side")
    return parser.parse_args()


if __name__ == "__main__":
    main()
