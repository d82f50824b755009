"""Read what the cluster says of the workloads, as `kubectl get --output json` prints it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

Object = dict[str, Any]

_REVISION = "deployment.kubernetes.io/revision"
_WAITS = frozenset({"PodInitializing", "ContainerCreating"})
_CONFIGURED = ("configMapRef", "secretRef", "configMapKeyRef", "secretKeyRef", "configMap", "secret")


class Workload(NamedTuple):
    """A Deployment, as it was at one moment."""

    revision: int
    """0 where it has none yet."""
    replicas: int


class Pod(NamedTuple):
    name: str
    ready: bool
    created: str
    restarts: int
    said: str
    """Why it does not run; empty where Kubernetes knows no reason."""
    hash: str
    """Which ReplicaSet it belongs to."""


class Job(NamedTuple):
    name: str
    state: str
    """`running`, `done` or `failed`."""
    said: str


def items(text: str) -> list[Object]:
    found: list[Object] = json.loads(text)["items"]
    return found


def deployments(text: str) -> dict[str, Workload]:
    """Return the Deployments by their names."""
    return {
        one["metadata"]["name"]: Workload(
            revision=int(one["metadata"].get("annotations", {}).get(_REVISION, 0)),
            replicas=one["spec"]["replicas"],
        )
        for one in items(text)
    }


def revisions(text: str, deployment: str) -> dict[int, str]:
    """Return the ReplicaSets of a Deployment by their revisions."""
    return {
        int(one["metadata"]["annotations"][_REVISION]): one["metadata"]["name"]
        for one in items(text)
        if any(
            owner["kind"] == "Deployment" and owner["name"] == deployment
            for owner in one["metadata"].get("ownerReferences", [])
        )
    }


def jobs(text: str) -> list[Job]:
    return [_job(one) for one in items(text)]


def _job(job: Object) -> Job:
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True":
            state = "done" if condition["type"] == "Complete" else "failed"
            return Job(job["metadata"]["name"], state, condition.get("message", ""))
    return Job(job["metadata"]["name"], "running", "")


def pods(text: str) -> list[Pod]:
    """Return pods, the newest first."""
    return sorted((_pod(one) for one in items(text)), key=lambda pod: pod.created, reverse=True)


def _pod(pod: Object) -> Pod:
    status = pod["status"]
    found = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    # A pod that no node takes has no containers.
    unscheduled = [
        condition.get("message", "")
        for condition in status.get("conditions", [])
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    ]
    return Pod(
        name=pod["metadata"]["name"],
        ready=bool(status.get("containerStatuses")) and all(one["ready"] for one in found),
        created=pod["metadata"]["creationTimestamp"],
        restarts=sum(one["restartCount"] for one in found),
        said="; ".join(filter(None, [*unscheduled, *map(_why, found)])),
        hash=pod["metadata"].get("labels", {}).get("pod-template-hash", ""),
    )


def _why(container: Object) -> str:
    """Return why a container does not run, and how it ended the last time."""
    waiting = container["state"].get("waiting", {})
    ended = container["state"].get("terminated") or container.get("lastState", {}).get("terminated") or {}
    reason = waiting.get("reason", "")
    said = [f"{reason} {waiting.get('message', '')}".strip()] if reason and reason not in _WAITS else []
    if ended.get("exitCode"):
        said.append(f"it ended with exit code {ended['exitCode']} ({ended.get('reason', 'Error')})")
    return ", ".join(said)


def never_starts(pod: Pod) -> bool:
    """Tell whether no patience helps: there is no such image, or a variable's Secret is missing."""
    return pod.said.startswith(("ErrImage", "ImagePull", "InvalidImageName", "CreateContainerConfigError"))


def complaints(text: str, pod: str) -> list[str]:
    """Return what the events say against a pod, the newest last, each once."""
    events = [one for one in items(text) if one["involvedObject"].get("name") == pod and one.get("type") == "Warning"]
    events.sort(key=lambda one: one.get("lastTimestamp") or one.get("eventTime") or "")
    return list(dict.fromkeys(" ".join(one.get("message", "").split()) for one in events))


def used(objects: Iterable[Object]) -> set[str]:
    """Return the names of all ConfigMaps and Secrets that pods, or templates of pods, name."""
    found: set[str] = set()
    pending: list[Any] = list(objects)
    while pending:
        one = pending.pop()
        if isinstance(one, Mapping):
            found |= {
                str(one[key].get("name") or one[key].get("secretName"))
                for key in _CONFIGURED
                if isinstance(one.get(key), Mapping)
            }
            pending += one.values()
        elif isinstance(one, list):
            pending += one
    return found
