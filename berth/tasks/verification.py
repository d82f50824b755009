"""Try what `berth init` has written on a real engine, and tell how far it came."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from invoke import Context

from berth import engines, env, process, terminal
from berth.compose import lines, ps
from berth.engines.docker import lines as docker
from berth.engines.docker.engine import Docker
from berth.env import prepare
from berth.errors import Refused
from berth.init import flow, record, repairs, writing
from berth.init.plan import CODE, Plan

ROUNDS = 5
"""Repairs that are tried before we give up."""
SERVER_S = 120
"""Seconds that the development server gets to answer anything."""
LINES = "60"
"""Lines of the server's log that are read for the reason why no page answers."""
WORKER_S = 10
"""Seconds that a worker is watched for."""
SERVES_NOBODY = "nothing answers HTTP"


def verify(c: Context, root: Path) -> None:
    """Build, check, migrate, find a page that answers, wait for the workers, and stop.

    :raises Refused: the project does not come so far; the message says why. What was started is stopped.
    """
    c.config.berth = {"root": str(root)}
    trial = _Trial(engines.docker_engine(c), root)
    try:
        trial.run()
    finally:
        trial.engine.down()


class _Trial:
    def __init__(self, engine: Docker, root: Path) -> None:
        self.engine, self.root = engine, root
        self.plan: Plan = flow.plan_of(root)
        self.started = time.monotonic()
        self.level = "L1"

    def run(self) -> None:
        self._image()
        self._passed("L2", "the image builds")
        servers = [each.name for each in self.plan.services]
        if servers:
            self.engine.up(servers)
        found = record.parse(self._manage("check", recorded=True))
        self._engine_is_meant(found)
        self._keep_host(repairs.host(found.settings))
        self._manage("migrate", "--noinput")
        self._passed("L3", f"check and migrate pass on {self.plan.database}, as the owner of the database")
        path = self._page(found.paths)
        self._passed("L4", f"{path} answers 200")
        self.engine.up(())
        print(ps.table(self.engine.stack(), self.engine.containers()))
        if self.plan.workers:
            self._workers_stay()
            self._passed("L5", f"{', '.join(each.name for each in self.plan.workers)} run")

    def _workers_stay(self) -> None:
        """Refuse a worker that ends soon after its start: of one without a health check nothing else would tell."""
        time.sleep(WORKER_S)
        workers = {each.name for each in self.plan.workers}
        names = [each.name for each in self.engine.containers() if each.service in workers]
        answer = process.capture(self.engine.c, docker.inspect(names), cwd=self.root)
        for container in ps.inspected(answer.stdout):
            if container.state != "running" or container.restarts:
                logs = process.capture(self.engine.c, lines.logs([container.service], tail=LINES), cwd=self.root).stdout
                print(logs, file=sys.stderr)
                self._failed(f"{container.service} does not keep running: {repairs.reason(logs)}")

    def _image(self) -> None:
        """Build; where nobody watches, what is printed is read, so that the last word is the cause."""
        if not terminal.is_terminal():
            answer = process.capture(self.engine.c, lines.build(()), cwd=self.root, env={"BUILDKIT_PROGRESS": "plain"})
            if answer.returncode != 0:
                print(answer.stdout + answer.stderr, file=sys.stderr, flush=True)
                self._failed(f"the image does not build: {repairs.build_reason(answer.stdout + answer.stderr)}")
        try:
            self.engine.build(())
        except Refused as error:
            self._failed(str(error) or "the image does not build: its last lines say why")

    def _manage(self, *words: str, recorded: bool = False) -> str:
        """Run a command of manage.py, and return what it printed; mend what is missing, and try again."""
        for _ in range(ROUNDS):
            plain = ["python", self.plan.manage, *words]
            code, output = self._capture(plain, record.command(self.plan.manage, *words) if recorded else plain)
            if code == 0:
                return output
            if (path := repairs.denied(output, str(CODE))) and self._as_owner(path):
                continue
            if (folder := repairs.missing_folder(output, str(CODE))) and self._with_folder(folder):
                continue
            mended = repairs.repair(output, flow.answers_of(self.root))
            if mended is None:
                break
            print(f"repair: {mended.said}", file=sys.stderr)
            flow.renew(self.root, mended.answers)
            self._again()
        print("\n".join(output.splitlines()[-25:]), file=sys.stderr)
        self._failed(f"`manage.py {' '.join(words)}` fails: {repairs.reason(output)}")

    def _with_folder(self, name: str) -> bool:
        """Make a folder that the project writes into and that git does not hold; tell whether it was not there."""
        if not writing.make_folder(self.root, name):
            return False
        print(
            f"repair: the project writes into {name}, which is not in git: it is made here; each checkout needs it, so "
            f"type `touch {name}/.gitkeep && git add --force {name}/.gitkeep`",
            file=sys.stderr,
        )
        return True

    def _as_owner(self, path: str) -> bool:
        """Let the services run as who owns the checkout, where they do not yet; tell whether that is something new."""
        file, owner = self.engine.here.env_file, self.root.stat()
        before = env.read_text(file)
        after = env.with_values(before, {"HOST_UID": str(owner.st_uid), "HOST_GID": str(owner.st_gid)})
        if after == before:
            return False
        env.replace(file, after)
        print(
            f"repair: the project writes {path}: the services run as who owns the checkout now, "
            f"HOST_UID={owner.st_uid} in {file.name}",
            file=sys.stderr,
        )
        self._again()
        return True

    def _engine_is_meant(self, found: record.Record) -> None:
        variables = prepare.variables(self.engine.here).values
        wrong = repairs.meant(
            found.settings,
            self.plan.database,
            variables.get("DB_NAME", ""),
            variables.get("DB_USER", ""),
            [each.name for each in self.plan.variables if each.compose],
        )
        if found.settings is None:
            wrong = "what the settings say cannot be read"
        if wrong:
            self._failed(
                f"{wrong}: type `berth init --remove`, and `berth init --answer database=postgresql`, or set what its "
                f"settings read in {self.plan.env_file}"
            )
        unset = [
            name
            for name, read in found.variables.items()
            if not read.is_set and not read.has_default and read.where.startswith(f"{CODE}/")
        ]
        if unset:
            print(f"note: read without a default, and not set: {', '.join(unset)}", file=sys.stderr)
        if (found.settings or {}).get("SECURE_SSL_REDIRECT"):
            print(
                "note: the settings redirect to HTTPS (SECURE_SSL_REDIRECT) whoever does not come by it",
                file=sys.stderr,
            )

    def _page(self, known: Sequence[str]) -> str:
        """Return the first of the likely paths that answers 200, which becomes HEALTH_PATH."""
        self.engine.up(("app",), wait=False)
        said: list[str] = []
        end = time.monotonic() + SERVER_S
        for path in repairs.pages(self.plan.health_candidates, known):
            answer = self._ask(path, end)
            if answer == "":
                self._keep_path(path)
                return path
            said.append(answer)
        logs = process.capture(self.engine.c, lines.logs(["app"], tail=LINES), cwd=self.root).stdout
        print("\n".join([*said, "the last lines of app:", logs]), file=sys.stderr)
        self._failed(repairs.no_page(said, logs))

    def _ask(self, path: str, end: float) -> str:
        """Return why a path does not answer 200, "" when it does; a server that starts is waited for until ``end``."""
        while True:
            answer = self.engine.read("app", ["env", f"HEALTH_PATH={path}", "check-http.sh"])
            if answer.returncode == 0:
                return ""
            text = (answer.stdout + answer.stderr).strip()
            is_starting = SERVES_NOBODY in text or "no whole answer" in text or "not running" in text
            if not is_starting or time.monotonic() > end:
                return text.splitlines()[0] if text else f"GET {path}: no answer"
            time.sleep(1)

    def _keep_host(self, host: str) -> None:
        if host != self.plan.health_host:
            flow.renew(self.root, {"health_host": host})
            print(f"repair: ALLOWED_HOSTS has no localhost: the health check asks for {host}", file=sys.stderr)
            self._again()

    def _keep_path(self, path: str) -> None:
        if path != self.plan.health_path:
            flow.renew(self.root, {"health_path": path})
            print(f"repair: {path} is the path that answers 200: HEALTH_PATH is that now", file=sys.stderr)
            self._again()

    def _again(self) -> None:
        """Read anew what was written."""
        self.plan = flow.plan_of(self.root)
        self.engine = Docker(self.engine.c, self.engine.here)

    def _capture(self, shown: Sequence[str], command: Sequence[str]) -> tuple[int, str]:
        """Run a command in a container of its own.

        :param shown: what it amounts to, for the eyes: the recorder is a long program.
        """
        line = process.line(lines.run("app", shown, terminal=False, dependencies=False), cwd=self.root)
        print(f"+ {line}{' # under a recorder' * (shown != command)}", file=sys.stderr, flush=True)
        answer = process.capture(
            self.engine.c, lines.run("app", command, terminal=False, dependencies=False), cwd=self.root
        )
        return answer.returncode, answer.stdout + answer.stderr

    def _passed(self, level: str, what: str) -> None:
        self.level = level
        print(f"{level} passed after {time.monotonic() - self.started:.0f} s: {what}", flush=True)

    def _failed(self, why: str) -> NoReturn:
        raise Refused(f"came to {self.level}: {why}")
