"""What kubectl prints of workloads and pods, as Kubernetes 1.36 does, and what becomes of it."""

from __future__ import annotations

import json
from typing import Any

from berth.deploy.kubernetes import cluster
from berth.deploy.kubernetes.lines import Kubectl
from berth.deploy.kubernetes.manifests import Manifests


def listed(*items: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def pod(name: str = "web-7d-a", created: str = "2026-11-24T20:00:00Z", **status: Any) -> dict[str, Any]:
    labels = {"pod-template-hash": name.split("-")[1]}
    return {"metadata": {"name": name, "creationTimestamp": created, "labels": labels}, "status": status}


def container(state: dict[str, Any], *, ready: bool = False, restarts: int = 0, last: Any = None) -> dict[str, Any]:
    return {"name": "web", "ready": ready, "restartCount": restarts, "state": state, "lastState": last or {}}


def job(*conditions: str) -> str:
    found = [{"type": one, "status": "True", "message": f"so it is {one}"} for one in conditions]
    return listed({"metadata": {"name": "upgrade"}, "status": {"conditions": found}})


def test_a_job_is_done_or_failed_once_kubernetes_says_so() -> None:
    assert cluster.jobs(listed({"metadata": {"name": "upgrade"}, "status": {"active": 1}}))[0].state == "running"
    assert cluster.jobs(job("SuccessCriteriaMet"))[0].state == "running"
    assert cluster.jobs(job("SuccessCriteriaMet", "Complete"))[0].state == "done"
    assert cluster.jobs(job("FailureTarget", "Failed"))[0] == ("upgrade", "failed", "so it is Failed")


def test_a_pod_that_crashes_says_how_it_ended() -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}
    last = {"terminated": {"exitCode": 3, "reason": "Error"}}
    (found,) = cluster.pods(listed(pod(containerStatuses=[container(waiting, restarts=2, last=last)])))
    assert not found.ready
    assert found.restarts == 2
    assert found.said == "CrashLoopBackOff back-off 10s restarting, it ended with exit code 3 (Error)"
    assert not cluster.never_starts(found)


def test_a_pod_whose_image_is_nowhere_never_starts() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
    (found,) = cluster.pods(listed(pod(containerStatuses=[container(waiting)])))
    assert cluster.never_starts(found)


def test_a_pod_that_no_node_takes_says_why() -> None:
    conditions = [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]
    (found,) = cluster.pods(listed(pod(conditions=conditions)))
    assert (found.said, found.ready) == ("0/1 nodes are available", False)


def test_pods_come_newest_first() -> None:
    old, new = pod("web-1-a", "2026-11-24T20:00:00Z"), pod("web-2-b", "2026-11-24T20:00:09Z")
    assert [one.hash for one in cluster.pods(listed(old, new))] == ["2", "1"]


def test_a_pod_that_is_just_being_made_is_no_complaint() -> None:
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    assert cluster.pods(listed(pod(containerStatuses=[container(waiting)])))[0].said == ""


def test_deployments_tell_their_revision_and_number() -> None:
    found = {
        "metadata": {"name": "web", "annotations": {"deployment.kubernetes.io/revision": "4"}},
        "spec": {"replicas": 3},
    }
    new = {"metadata": {"name": "new"}, "spec": {"replicas": 1}}
    assert cluster.deployments(listed(found, new)) == {"web": (4, 3), "new": (0, 1)}


def test_revisions_are_those_of_the_deployment_that_owns_them() -> None:
    sets = [
        {
            "metadata": {
                "name": f"{owner}-{number}",
                "annotations": {"deployment.kubernetes.io/revision": str(number)},
                "ownerReferences": [{"kind": "Deployment", "name": owner}],
            }
        }
        for owner, number in (("web", 1), ("web", 3), ("other", 2))
    ]
    assert cluster.revisions(listed(*sets), "web") == {1: "web-1", 3: "web-3"}


def test_warnings_of_a_pod_are_told_the_newest_last() -> None:
    def event(message: str, at: str, name: str = "web-7d-a", kind: str = "Warning") -> dict[str, Any]:
        return {"involvedObject": {"name": name}, "type": kind, "message": message, "lastTimestamp": at}

    events = [
        event("probe  failed:\n503", "3"),
        event("back-off", "2"),
        event("pulled", "5", kind="Normal"),
        event("of another", "6", name="web-7d-b"),
    ]
    assert cluster.complaints(listed(*events), "web-7d-a") == ["back-off", "probe failed: 503"]


def test_what_pods_name_is_used() -> None:
    template = {
        "containers": [
            {
                "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}],
                "env": [{"valueFrom": {"secretKeyRef": {"name": "c", "key": "x"}}}],
            }
        ],
        "volumes": [{"configMap": {"name": "d"}}, {"secret": {"secretName": "e"}}, {"emptyDir": {}}],
    }
    assert cluster.used([{"spec": {"template": {"spec": template}}}]) == {"a", "b", "c", "d", "e"}


def test_objects_are_read_one_after_the_other_or_as_a_list() -> None:
    web = {"kind": "Deployment", "metadata": {"name": "web"}}
    store = {"kind": "StatefulSet", "metadata": {"name": "store", "labels": {"step": "first"}}}
    for text in (f"{json.dumps(web)}\n{json.dumps(store)}\n", json.dumps({"kind": "List", "items": [web, store]})):
        found = Manifests(text)
        assert found.staying() == ["deployment/web", "statefulset/store"]
        assert found.staying({"step": "first"}) == ["statefulset/store"]


def test_lines_name_the_cluster_and_the_namespace() -> None:
    lines = Kubectl("shop", "staging")
    assert " ".join(lines.scale("deployment/web", 3)) == (
        "kubectl --context staging --namespace shop scale deployment/web --replicas=3"
    )
    # The objects of a kustomization say themselves where they belong.
    assert " ".join(lines.apply("folder")) == "kubectl --context staging apply --kustomize folder"
    assert " ".join(Kubectl("shop").undo("deployment/web", 4)) == (
        "kubectl --namespace shop rollout undo deployment/web --to-revision=4"
    )
