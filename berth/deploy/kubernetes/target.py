"""Deploy to Kubernetes: see `berth.deploy.Target`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from subprocess import CompletedProcess

from invoke import Context

from berth import process, project
from berth.compose.config import Stack
from berth.deploy import released
from berth.deploy.kubernetes import cluster, files, overlay
from berth.deploy.kubernetes.lines import FIRST, JOBS, STEP, Kubectl
from berth.deploy.kubernetes.manifests import Manifests
from berth.deploy.kubernetes.why import Why
from berth.engines.docker.engine import Docker
from berth.env import prepare
from berth.errors import Refused

PROD_FILE = "docker/docker-compose.prod.yml"
OVERLAYS = "docker/kubernetes/overlays"
WRITTEN = "kubernetes"
"""The folder in `.berth` of what is applied: it holds the values of `.env`, and can be applied by hand, too."""

PREPARATION = 180
"""Seconds that what the migrations need, such as the database of the overlay `demo`, has to become ready."""

PAUSE = 0.5
"""Seconds between two looks at a job."""


class Kubernetes:
    """See `berth.deploy.Target`.

    :param context: of kubectl's configuration; None: the one in use.
    """

    def __init__(self, c: Context, context: str | None = None) -> None:
        self.c = c
        # No engine has to answer: its client resolves the compose files, and the cluster has the images.
        self.here = project.current(c)
        prepare.check(self.here)
        variable = "KUBERNETES_NAMESPACE" if self._value("KUBERNETES_NAMESPACE") else "COMPOSE_PROJECT_NAME"
        self._kubectl = Kubectl(overlay.check_namespace(self._value(variable), variable), context)
        self._why = Why(self._read, self._kubectl)
        self._unsafe_migrations = False

    def deploy(self, image: str | None = None, *, unsafe_migrations: bool = False) -> None:
        self._unsafe_migrations = unsafe_migrations
        before = cluster.deployments(self._read(self._kubectl.get_json("deployments")).stdout)
        base = self._base()
        manifests = Manifests(self._read(self._kubectl.render(base)).stdout)
        folder = self._write(image or released.image(self.c, self.here, self._stack), base, manifests, before)
        if any(job.state == "running" for job in self._jobs()):
            raise Refused(f"the migrations of another deployment run: see `{self._shown('jobs')}`, and try again later")
        self._run(self._kubectl.delete_jobs())
        self._run(self._kubectl.apply(folder, selector=FIRST))
        first = manifests.staying({STEP: "prepare"})
        self._follow(first, {}, limit=PREPARATION)
        self._await_jobs()
        self._run(self._kubectl.apply(folder))
        self._follow([workload for workload in manifests.staying() if workload not in first], before)
        self._tidy()

    def status(self) -> None:
        self._run(self._kubectl.show("deployments", "statefulsets", "jobs", "pods", "ingresses"))

    def rollback(self) -> None:
        deployments = cluster.deployments(self._read(self._kubectl.get_json("deployments")).stdout)
        sets = self._read(self._kubectl.get_json("replicasets")).stdout
        there = {name: cluster.revisions(sets, name) for name in self._own(deployments)}
        older = {
            name: max(earlier)
            for name, found in there.items()
            if (earlier := [number for number in found if number < deployments[name].revision])
        }
        if not older:
            raise Refused(
                f"there is no version before the running one in the namespace `{self._kubectl.namespace}`: nothing was "
                "changed"
            )
        for name, revision in older.items():
            self._run(self._kubectl.undo(f"deployment/{name}", revision))
        for name in older:
            self._run(self._kubectl.follow(f"deployment/{name}"))
        # The next rollback leads further back, and not to what this one has left.
        self._run(self._kubectl.delete("replicasets", [there[name][deployments[name].revision] for name in older]))

    def scale(self, replicas: Mapping[str, int]) -> None:
        there = self._own(cluster.deployments(self._read(self._kubectl.get_json("deployments")).stdout))
        for name in replicas:
            if name not in there:
                known = ", ".join(there) or "nothing: deploy first"
                raise Refused(f"no Deployment of the running version is called `{name}`: there is {known}")
        for name, number in replicas.items():
            self._run(self._kubectl.scale(f"deployment/{name}", number))
        for name in replicas:
            self._run(self._kubectl.follow(f"deployment/{name}"))

    # --- What is to run ------------------------------------------------------

    @cached_property
    def _stack(self) -> Stack:
        """The services as they are in the image that is shipped."""
        names = prepare.compose_files(self.here)
        added = [] if PROD_FILE in names or not (self.here.root / PROD_FILE).exists() else [PROD_FILE]
        variables = {
            **released.variables(self.here, unsafe_migrations=self._unsafe_migrations),
            "COMPOSE_FILE": os.pathsep.join([*names, *added]),
        }
        return Docker(self.c, self.here, variables).stack()

    def _own(self, deployments: Mapping[str, cluster.Workload]) -> list[str]:
        """Return the Deployments that run the project's own image."""
        image = self._stack.definition(self._stack.with_role("app"))["image"]
        return [
            name
            for name in deployments
            if name in self._stack.names() and self._stack.definition(name)["image"] == image
        ]

    def _base(self) -> str:
        """Return the folder of the project's own kustomization, as seen from its root.

        :raises Refused: KUBERNETES_OVERLAY names none.
        """
        folder = f"{OVERLAYS}/{self._value('KUBERNETES_OVERLAY') or 'production'}"
        if not (self.here.root / folder / "kustomization.yaml").is_file():
            raise Refused(
                f"there is no {folder}/kustomization.yaml: set KUBERNETES_OVERLAY in .env to a folder of {OVERLAYS}"
            )
        return folder

    def _write(self, image: str, base: str, manifests: Manifests, before: Mapping[str, cluster.Workload]) -> str:
        """Write the kustomization of the release, and return its folder as seen from the project's root."""
        replicas = {name: workload.replicas for name, workload in before.items()}
        wanted = overlay.Release(self._kubectl.namespace, image, replicas)
        made = overlay.files(self._stack, manifests, wanted, base=f"../../{base}")
        folder = self.here.state / WRITTEN
        if not self.c.config.run.dry:
            files.replace(folder, made)
        return str(folder.relative_to(self.here.root))

    # --- The steps -----------------------------------------------------------

    def _jobs(self) -> list[cluster.Job]:
        return cluster.jobs(self._read(self._kubectl.get_json("jobs", selector=JOBS)).stdout)

    def _await_jobs(self) -> None:
        """Wait for the migrations, however long they take.

        :raises Refused: they failed, or cannot start: nothing was replaced.
        """
        if self.c.config.run.dry:
            return
        print(f"waiting for the jobs of {STEP}=migrate", file=sys.stderr, flush=True)
        while running := [job for job in self._jobs() if job.state != "done"]:
            for job in running:
                selector = f"job-name={job.name}"
                if job.state == "failed" or any(map(cluster.never_starts, self._why.pods(selector))):
                    said = self._why.newest(selector) or job.said
                    raise Refused(f"the job `{job.name}` failed, so nothing was replaced: {said}")
            time.sleep(PAUSE)

    def _follow(
        self, workloads: Sequence[str], before: Mapping[str, cluster.Workload], *, limit: int | None = None
    ) -> None:
        """Wait until the new version serves.

        :param limit: seconds for each; None: what its manifest says.
        :raises Refused: it does not: the version before is back.
        """
        for workload in workloads:
            code = process.run(self.c, self._kubectl.follow(workload, limit), cwd=self.here.root, check=False)
            if code == process.INTERRUPTED:
                raise Refused("", code=code)
            if code != 0:
                said = self._why.rollout(workload)
                raise Refused(f"the new version of `{workload}` did not become ready: {said}\n{self._go_back(before)}")

    def _go_back(self, before: Mapping[str, cluster.Workload]) -> str:
        """Put all Deployments that have changed back, and return what was done."""
        now = cluster.deployments(self._read(self._kubectl.get_json("deployments")).stdout)
        changed = {name: old for name, old in before.items() if name in now and now[name].revision != old.revision}
        if not changed:
            return "there is no version before it to go back to"
        for name, old in changed.items():
            self._run(self._kubectl.undo(f"deployment/{name}", old.revision))
        for name in changed:
            self._run(self._kubectl.follow(f"deployment/{name}"))
        # What failed is no version for `rollback` to go to.
        sets = self._read(self._kubectl.get_json("replicasets")).stdout
        failed = [cluster.revisions(sets, name).get(now[name].revision) for name in changed]
        self._run(self._kubectl.delete("replicasets", [name for name in failed if name]))
        return f"the version before is back in {', '.join(changed)}; migrations stay applied"

    def _tidy(self) -> None:
        """Delete ConfigMaps and Secrets of releases that no rollback goes to any more."""
        kinds = ("replicasets", "statefulsets", "daemonsets", "jobs", "pods", "cronjobs")
        used = cluster.used(cluster.items(self._read(self._kubectl.get_json(*kinds)).stdout))
        for kind in ("configmaps", "secrets"):
            answer = self._read(self._kubectl.get_json(kind, selector=f"{STEP}=prepare")).stdout
            unused = sorted({one["metadata"]["name"] for one in cluster.items(answer)} - used)
            if unused:
                self._run(self._kubectl.delete(kind, unused))

    # --- kubectl -------------------------------------------------------------

    def _value(self, name: str) -> str:
        return prepare.value(self.here, name)

    def _run(self, line: Sequence[str]) -> None:
        process.run(self.c, line, cwd=self.here.root)

    def _shown(self, *kinds: str) -> str:
        return process.line(self._kubectl.show(*kinds))

    def _read(self, line: Sequence[str]) -> CompletedProcess[str]:
        """:raises Refused: kubectl is not installed, or it failed."""
        answer = process.capture(self.c, line, cwd=self.here.root)
        if answer.returncode != 0:
            raise Refused(f"`{process.line(line)}` failed: {answer.stderr.strip()}", code=answer.returncode)
        return answer
