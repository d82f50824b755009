"""Say why pods of Kubernetes do not do what they are there for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from subprocess import CompletedProcess

from berth.deploy.kubernetes import cluster
from berth.deploy.kubernetes.cluster import Pod
from berth.deploy.kubernetes.lines import Kubectl
from berth.errors import Refused


class Why:
    """Ask the cluster for its reasons.

    :param read: runs a line to read its output; raises `Refused` where that fails.
    """

    def __init__(self, read: Callable[[Sequence[str]], CompletedProcess[str]], kubectl: Kubectl) -> None:
        self._read = read
        self._kubectl = kubectl

    def pods(self, selector: str) -> list[Pod]:
        """Return the pods that a selector chooses, the newest first."""
        return cluster.pods(self._read(self._kubectl.get_json("pods", selector=selector)).stdout)

    def newest(self, selector: str) -> str:
        """Return what is said of the newest pod, and its last lines; empty where there is none."""
        found = self.pods(selector)
        return self._told(found[0]) if found else ""

    def rollout(self, workload: str) -> str:
        """Return what is wrong with the new pods of a workload, such as `deployment/NAME`."""
        kind, _, name = workload.partition("/")
        text = self._read(self._kubectl.get_json(f"{kind}s")).stdout
        chosen = [one for one in cluster.items(text) if one["metadata"]["name"] == name]
        labels = chosen[0]["spec"]["selector"]["matchLabels"] if chosen else {}
        found = self.pods(",".join(f"{key}={value}" for key, value in labels.items()))
        # Only the newest are the new version's, and of those one that is not well.
        bad = [pod for pod in found if pod.hash == found[0].hash and not pod.ready]
        return self._told(bad[0]) if bad else "kubectl says no more than what stands above"

    def _told(self, pod: Pod) -> str:
        events = self._read(self._kubectl.get_json("events")).stdout
        parts = [pod.said, *cluster.complaints(events, pod.name)[-2:], self._last_lines(pod)]
        # The condition of a pod may say what an event says.
        return f"pod {pod.name}: " + "\n".join(dict.fromkeys(filter(None, parts)))

    def _last_lines(self, pod: Pod) -> str:
        for previous in [True, False] if pod.restarts else [False]:
            try:
                lines = self._read(self._kubectl.logs(pod.name, previous=previous)).stdout.strip()
            except Refused:
                continue  # a container that never started has none
            if lines:
                return f"its last lines:\n{lines}"
        return ""
