"""Write `kubectl` lines; nothing else in Berth does. They run in the project's root."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Argv = list[str]

STEP = "berth.step"
"""Label of the manifests that says when they are applied: `prepare`, `migrate`; the others after those."""

FIRST = f"{STEP} in (prepare,migrate)"
JOBS = f"{STEP}=migrate"


class Kubectl(NamedTuple):
    """Lines about one project on one cluster.

    :param namespace: that of the project.
    :param context: of kubectl's configuration; None: the one in use.
    """

    namespace: str
    context: str | None = None

    def _line(self, *arguments: str) -> Argv:
        return [*self._kubectl(), "--namespace", self.namespace, *arguments]

    def _kubectl(self) -> Argv:
        return ["kubectl", *(["--context", self.context] if self.context else [])]

    def render(self, folder: str) -> Argv:
        """Show the objects of a kustomization, which say their namespace themselves, as JSON."""
        return [*self._kubectl(), "create", "--kustomize", folder, "--dry-run=client", "--output", "json"]

    def apply(self, folder: str, *, selector: str | None = None) -> Argv:
        chosen = ["--selector", selector] if selector else []
        return [*self._kubectl(), "apply", "--kustomize", folder, *chosen]

    def delete_jobs(self) -> Argv:
        """Delete those of the last release: a Job cannot be changed."""
        return self._line("delete", "jobs", "--selector", JOBS, "--ignore-not-found")

    def delete(self, kind: str, names: Sequence[str]) -> Argv:
        return self._line("delete", kind, *names, "--ignore-not-found")

    def get_json(self, *kinds: str, selector: str | None = None) -> Argv:
        chosen = ["--selector", selector] if selector else []
        return self._line("get", ",".join(kinds), *chosen, "--output", "json")

    def show(self, *kinds: str) -> Argv:
        return self._line("get", ",".join(kinds), "--output", "wide")

    def follow(self, workload: str, limit: int | None = None) -> Argv:
        """Wait for a rollout.

        :param limit: seconds; None: the progressDeadlineSeconds of a Deployment's manifest.
        """
        return self._line("rollout", "status", workload, *([] if limit is None else [f"--timeout={limit}s"]))

    def undo(self, workload: str, revision: int | None = None) -> Argv:
        return self._line("rollout", "undo", workload, *([] if revision is None else [f"--to-revision={revision}"]))

    def scale(self, workload: str, replicas: int) -> Argv:
        return self._line("scale", workload, f"--replicas={replicas}")

    def logs(self, pod: str, *, previous: bool = False, tail: int = 50) -> Argv:
        return self._line("logs", pod, "--all-containers", f"--tail={tail}", *["--previous"] * previous)
