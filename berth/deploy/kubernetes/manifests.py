"""Read the objects of a kustomization, as `kubectl create --dry-run=client --output json` prints them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]

_HASH = re.compile(r"-[a-z0-9]{10}$")
_STAY = frozenset({"Deployment", "StatefulSet", "DaemonSet"})


class Manifests:
    """The objects of one kustomization.

    :param rendered: a list of kind `List`, or several objects one after the other.
    """

    def __init__(self, rendered: str) -> None:
        self._objects: list[Object] = []
        decoder, rest = json.JSONDecoder(), rendered.strip()
        while rest:
            found, end = decoder.raw_decode(rest)
            self._objects += found["items"] if found.get("kind") == "List" else [found]
            rest = rest[end:].lstrip()

    def of(self, *kinds: str) -> dict[str, Object]:
        """Return the objects of these kinds by their names."""
        return {one["metadata"]["name"]: one for one in self._objects if one["kind"] in kinds}

    def workloads(self) -> dict[str, Object]:
        """Return what has pods, jobs among it, by the names of the Compose services."""
        return self.of(*_STAY, "Job")

    def staying(self, labels: Mapping[str, str] | None = None) -> list[str]:
        """Return what a rollout is waited for, as `deployment/NAME`, in the order of the manifests.

        :param labels: those of the ones that are asked for.
        """
        return [
            f"{one['kind'].lower()}/{one['metadata']['name']}"
            for one in self._objects
            if one["kind"] in _STAY and (labels or {}).items() <= one["metadata"].get("labels", {}).items()
        ]

    def generated(self, kind: str) -> set[str]:
        """Return the names of the generators that made the ConfigMaps or Secrets: without the hash of the content."""
        return {_HASH.sub("", name) for name in self.of(kind)}

    def own_variables(self, workload: str) -> set[str]:
        """Return the variables that a workload's manifest itself sets; they are above those of ConfigMaps."""
        return {
            variable["name"]
            for container in containers(self.workloads()[workload])
            for variable in container.get("env", [])
        }


def containers(workload: Object) -> list[Object]:
    found: list[Object] = workload["spec"]["template"]["spec"]["containers"]
    return found
