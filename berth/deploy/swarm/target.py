"""Deploy to Docker Swarm: see `berth.deploy.Target`."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Collection, Mapping

from invoke import Context

from berth import engines, process
from berth.compose import lines as compose
from berth.compose.config import Stack
from berth.deploy import released
from berth.deploy.swarm import files, stack, state
from berth.deploy.swarm.cluster import Cluster
from berth.deploy.swarm.stack import Document, Release
from berth.env import prepare
from berth.errors import Refused

COMPOSE_FILES = "docker/docker-compose.yml:docker/docker-compose.prod.yml:docker/docker-compose.swarm.yml"
KEPT = 5
"""Releases whose stack files and secrets the swarm keeps, to go back to."""

TICK = 0.5
"""Seconds between two questions."""

PATIENCE = 600
"""Seconds without any change after which a change of the cluster counts as failed."""


class Swarm:
    """See `berth.deploy.Target`.

    :param context: a context of docker, or `ssh://USER@HOST`.
    """

    def __init__(self, c: Context, context: str | None = None) -> None:
        self.c = c
        self.here = engines.docker_engine(c).here
        project = prepare.value(self.here, "COMPOSE_PROJECT_NAME")
        self.name = prepare.value(self.here, "DEPLOY_NAME") or f"{project}-live"
        if self.name == project:
            raise Refused(
                f"DEPLOY_NAME is `{project}`, as the containers and volumes of development are called: choose another"
            )
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", self.name):
            raise Refused(f"DEPLOY_NAME is `{self.name}`: use up to 40 lower-case letters, digits, `-` and `_`")
        self._cluster = Cluster(c, self.here, self.name, context)
        self._cluster.check()

    def deploy(self, image: str | None = None, *, unsafe_migrations: bool = False) -> None:
        made = self._release(image, unsafe_migrations=unsafe_migrations)
        cluster = self._cluster
        for document in filter(None, (made.before, made.document)):
            cluster.check_document(document)
        if running := [job for job in made.jobs if state.runs(cluster.tasks(), job)]:
            line = cluster.typed(["docker", "service", "logs", f"{self.name}_{running[0]}"])
            raise Refused(f"{running[0]} of another deployment runs: wait until it has ended, see `{line}`")
        number, before = self._last()
        counts = {one.name: one.wanted for one in cluster.services().values()}
        document = stack.keep_replicas(made.document, before, counts)
        cluster.keep("secret", made.secrets)
        cluster.keep("config", made.configs)
        if made.needs:
            self._change(made.needs, prune=False)
        if made.before:
            self._run_jobs(made)
        self._replace(document, stack.keep_replicas(before, before, counts) if before else {})
        if not self.c.config.run.dry:
            # As the files say it, or the next release could not tell which numbers somebody has chosen.
            cluster.remember(number + 1, made.document)
            self._tidy()

    def status(self) -> None:
        number, document = self._last()
        if not number:
            raise Refused(f"nothing was deployed as `{self.name}` yet: type `{self.here.command()} deploy`")
        images = sorted({str(one["image"]) for one in document["services"].values()})
        print(f"stack {self.name}, release {number}: {', '.join(images)}")
        self._cluster.show()

    def rollback(self) -> None:
        releases = list(self._cluster.releases().items())
        if len(releases) < 2:
            raise Refused(f"there is no release of `{self.name}` before the running one: nothing was changed")
        (number, config), (_, running) = releases[-2:]
        now = {one.name: one.wanted for one in self._cluster.services().values()}
        documents = (self._cluster.document(one) for one in (config, running))
        wanted, current = (stack.keep_replicas(document, document, now) for document in documents)
        self._replace(wanted, current)
        if not self.c.config.run.dry:
            self._cluster.forget("config", [running])
            print(f"release {number} serves again", file=sys.stderr)

    def scale(self, replicas: Mapping[str, int]) -> None:
        before = self._cluster.services()
        if not before:
            raise Refused(f"nothing was deployed as `{self.name}` yet: type `{self.here.command()} deploy`")
        _, document = self._last()
        fixed = {name for name, one in document.get("services", {}).items() if one["deploy"].get("mode") == "global"}
        for name in replicas:
            if name not in before or name in fixed:
                able = ", ".join(sorted(set(before) - fixed))
                why = "runs once on each node" if name in fixed else "is no service of the stack"
                raise Refused(f"`{name}` {why}: `deploy.scale` takes {able}")
        self._cluster.scale(replicas)
        self._await({name: before[name] for name in before}, list(replicas))

    def _release(self, image: str | None, *, unsafe_migrations: bool) -> Release:
        """Return what is to be deployed, from the files and the values of now.

        :raises Refused: Compose refuses them, Swarm cannot do what they say, or there is no released image.
        """
        config = self._config(unsafe_migrations=unsafe_migrations)
        image = image or released.image(self.c, self.here, Stack(config))
        if not stack.is_of_a_registry(image) and not self._cluster.has_image(image):
            raise Refused(
                f"the engine has no image {image}: type `{self.here.command()} release`, or name a released one "
                "by `--image`; to carry one to another engine, `docker save IMAGE | docker --context CONTEXT load`"
            )
        read = stack.parse(config)
        return stack.release(read, name=self.name, image=image, contents=files.read(stack.paths(read)))

    def _config(self, *, unsafe_migrations: bool) -> str:
        variables = {
            "COMPOSE_FILE": prepare.value(self.here, "DEPLOY_COMPOSE_FILE") or COMPOSE_FILES,
            **released.variables(self.here, unsafe_migrations=unsafe_migrations),
        }
        answer = process.capture(self.c, compose.config_json(), cwd=self.here.root, env=variables)
        if answer.returncode != 0:
            raise Refused(answer.stderr.strip(), code=answer.returncode)
        return answer.stdout

    def _last(self) -> tuple[int, Document]:
        """Return the number and the stack file of the running release, 0 and an empty one: there is none."""
        releases = list(self._cluster.releases().items())
        if not releases:
            return 0, {}
        number, config = releases[-1]
        return number, self._cluster.document(config)

    def _run_jobs(self, made: Release) -> None:
        """Run the jobs of a release, such as the migrations, while the version before serves.

        :raises Refused: one failed: nothing was replaced.
        """
        if not self.c.config.run.dry:
            # What ran once does not run again while its service is there.
            for job in made.jobs:
                self._cluster.remove_service(job)
        before = {task.id for task in self._cluster.tasks()}
        self._cluster.apply(made.before, prune=False)
        if self.c.config.run.dry:
            return
        waiting, since = list(made.jobs), time.monotonic()
        while waiting:
            time.sleep(TICK)
            tasks = [one for one in self._cluster.tasks() if one.id not in before]
            if any(one.service in waiting and one.state == "running" for one in tasks):
                since = time.monotonic()
            if time.monotonic() - since > PATIENCE:
                why = next((one.error for one in tasks if one.service in waiting and one.error), "no node takes it")
                raise Refused(f"{', '.join(waiting)} did not start, so that nothing was replaced: {why}")
            for job in made.jobs:
                if bad := state.failed(tasks, job):
                    why = self._cluster.why(bad[0])
                    self._cluster.remove_service(job)
                    raise Refused(f"{job} failed, so that nothing was replaced: {why}")
            waiting = [job for job in waiting if not state.is_complete(tasks, job)]
        print(f"{', '.join(made.jobs)} done", file=sys.stderr)

    def _replace(self, document: Document, before: Document) -> None:
        """Let the swarm replace its services by those of a stack file.

        :param before: the stack file that runs.
        :raises Refused: one of them does not become healthy; all are what they were.
        """
        try:
            self._change(document, prune=True)
        except Refused as error:
            if not before:
                again = "there is no release to go back to: mend it, and deploy again"
                raise Refused(f"{error.message}\n{again}") from None
            self._change(before, prune=True)
            raise Refused(f"{error.message}\nthe release before serves, as it did all the time") from None

    def _change(self, document: Document, *, prune: bool) -> None:
        """Let the swarm have the services of a stack file, and wait until they are healthy.

        :raises Refused: as `_await`.
        """
        services = self._cluster.services()
        self._cluster.apply(document, prune=prune)
        if not self.c.config.run.dry:
            self._await(services, list(document["services"]))

    def _await(self, before: Mapping[str, state.Service], names: Collection[str]) -> None:
        """Wait until services are what they are to be.

        :param before: what they were before the change.
        :raises Refused: the engine gave up on one; it says why.
        """
        known = {task.id for task in self._cluster.tasks() if task.state in ("failed", "rejected")}
        shown, since = "", time.monotonic()
        while True:
            found = {name: one for name, one in self._cluster.services().items() if name in names}
            tasks = self._cluster.tasks()
            bad = {name: state.failed(tasks, name, known) for name in names}
            ended = {
                name
                for name, one in found.items()
                if state.is_done(one, before.get(name)) or state.has_failed(one, before.get(name), len(bad[name]))
            }
            if (now := state.progress(found)) != shown:
                print(now, file=sys.stderr, flush=True)
                shown, since = now, time.monotonic()
            late = time.monotonic() - since > PATIENCE
            if ended >= set(names) or late:
                break
            time.sleep(TICK)
        broken = [name for name in names if late and name not in ended]
        broken += [name for name, one in found.items() if state.has_failed(one, before.get(name), len(bad[name]))]
        if broken:
            raise Refused("\n".join(self._complaint(name, bad[name], found.get(name)) for name in broken))

    def _complaint(self, name: str, bad: list[state.Task], now: state.Service | None) -> str:
        if bad:
            return f"{name} did not become healthy: {self._cluster.why(bad[0])}"
        waiting = [task.error for task in self._cluster.tasks() if task.service == name and task.error]
        return f"{name} did not become healthy: {waiting[0] if waiting else now.message if now else 'it is gone'}"

    def _tidy(self) -> None:
        """Take away what only releases need that are too old to go back to."""
        releases = list(self._cluster.releases().values())
        self._cluster.forget("config", releases[:-KEPT])
        needed = {name for config in releases[-KEPT:] for name in stack.files(self._cluster.document(config))}
        self._cluster.forget("secret", self._cluster.names("secret") - needed)
        self._cluster.forget("config", self._cluster.names("config") - needed - set(releases))
