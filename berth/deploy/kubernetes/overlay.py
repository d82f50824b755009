"""Make the kustomization that lays a release over the project's own manifests: image, environment, hosts, replicas.

It is written as JSON, which is YAML, too. Values of variables stand in files of their own: in those kustomize changes
no byte, whereas it takes quotes and line ends out of its other two forms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from berth.compose.config import Stack
from berth.deploy.kubernetes.manifests import Manifests, containers
from berth.errors import Refused
from berth.redaction import is_secret

_PASSWORD = re.compile(r"\w://[^\s/:@]*:[^\s/@]+@")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_WORD = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_HOST = re.compile(rf"(\*\.)?{_WORD}(\.{_WORD})+", re.IGNORECASE)
_VARIABLE = re.compile(r"[-._a-zA-Z0-9]+")


class Release(NamedTuple):
    """What is to run.

    :param namespace: of the project.
    :param image: of the project's own services.
    :param replicas: of the workloads that run, whose number somebody may have changed.
    """

    namespace: str
    image: str
    replicas: Mapping[str, int]


def check_namespace(name: str, variable: str) -> str:
    """Return a namespace's name.

    :param variable: that it comes from.
    :raises Refused: Kubernetes takes no such name.
    """
    if not _LABEL.fullmatch(name):
        raise Refused(
            f"`{name}` ({variable}) is no name for a namespace of Kubernetes, which takes lower case letters, digits "
            "and `-`: set KUBERNETES_NAMESPACE in .env"
        )
    return name


def files(stack: Stack, manifests: Manifests, release: Release, *, base: str) -> dict[str, str]:
    """Return the files of the kustomization by their paths.

    :param stack: the services as they are to run there.
    :param manifests: those of the kustomization that this one is laid over.
    :param base: its folder, as seen from this one.
    :raises Refused: the manifests lack a service, or its environment cannot be theirs.
    """
    main = stack.with_role("app")
    images = _images(stack, manifests, release.image)
    _check(stack, manifests, main, images)
    plain: dict[str, dict[str, str]] = {}
    secret: dict[str, dict[str, str]] = {}
    for service in stack.names():
        for name, value in stack.environment(service).items():
            hidden = is_secret(name) or _PASSWORD.search(value) is not None or not _is_plain(value)
            (secret if hidden else plain).setdefault(service, {})[name] = value
    made: dict[str, str] = {}
    kustomization: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": release.namespace,
        "resources": [base],
        "configMapGenerator": _generators("ConfigMap", plain, manifests, made),
        "secretGenerator": _generators("Secret", secret, manifests, made),
        "patches": [*_image_patches(manifests, images), *_host_patches(manifests, hosts(stack.environment(main)))],
        "replicas": [
            {"name": name, "count": count}
            for name, count in sorted(_replicas(stack, release.replicas).items())
            if "replicas" in manifests.workloads().get(name, {}).get("spec", {})
        ],
    }
    return {"kustomization.yaml": json.dumps(kustomization, indent=2) + "\n", **made}


def _replicas(stack: Stack, running: Mapping[str, int]) -> dict[str, int]:
    """Return how many there are to be: what runs stays so, unless the compose files say that there is to be none."""
    said = {name: (stack.definition(name).get("deploy") or {}).get("replicas") for name in stack.names()}
    wanted = {name: int(count) for name, count in said.items() if count is not None}
    return {**wanted, **running, **{name: 0 for name, count in wanted.items() if count == 0}}


def _is_plain(value: str) -> bool:
    """Tell whether kustomize leaves a value as it is where it writes it as YAML; in a Secret it leaves any."""
    return all(character.isprintable() for character in value)


def hosts(environment: Mapping[str, str]) -> list[str]:
    """Return the names of ALLOWED_HOSTS by which an Ingress can know a site: no address, no name of one machine."""
    words = (word.strip() for word in environment.get("ALLOWED_HOSTS", "").split(","))
    names = (f"*{word}" if word.startswith(".") else word for word in words)
    return [name.lower() for name in names if _HOST.fullmatch(name) and not re.fullmatch(r"[\d.]+", name)]


def _images(stack: Stack, manifests: Manifests, image: str) -> dict[str, str]:
    """Return the image of each workload that is a Compose service; the project's own services get ``image``."""
    own = stack.definition(stack.with_role("app"))["image"]
    images = {name: str(stack.definition(name)["image"]) for name in stack.names() if name in manifests.workloads()}
    return {name: image if found == own else found for name, found in images.items()}


def _check(stack: Stack, manifests: Manifests, main: str, images: Mapping[str, str]) -> None:
    own = [name for name in stack.names() if stack.definition(name)["image"] == stack.definition(main)["image"]]
    running = [name for name in own if (stack.definition(name).get("deploy") or {}).get("replicas") != 0]
    if lacking := [name for name in running if name not in images]:
        raise Refused(
            f"no Deployment, StatefulSet or Job is called {' or '.join(f'`{name}`' for name in lacking)}, as a service "
            "of the compose files is: add its manifest to docker/kubernetes/base, a copy of another one"
        )
    environment = stack.environment(main)
    for name in running:
        for variable, value in stack.environment(name).items():
            if environment.get(variable) != value and variable not in manifests.own_variables(name) and name != main:
                raise Refused(
                    f"{variable} of the service `{name}` is not that of `{main}`, whose ConfigMap both get: set it "
                    f"below `env` in the manifest of `{name}`"
                )
    there = manifests.of("Service")
    for variable, value in environment.items():
        for name in stack.names():
            if (
                name not in there
                and re.search(rf"(?:^|//|@){re.escape(name)}(?=[:/,]|$)", value)
                and _is_host(variable)
            ):
                raise Refused(
                    f"{variable} names the service `{name}`, which this overlay does not have: set it in .env to where "
                    "yours is, or KUBERNETES_OVERLAY=demo to try one that is in the cluster"
                )
    if odd := [variable for variable in environment if not _VARIABLE.fullmatch(variable)]:
        raise Refused(f"`{odd[0]}` is no name for a variable on Kubernetes")


def _is_host(variable: str) -> bool:
    """Tell whether a variable may name a host: a database or module may be called as a service is."""
    return variable.endswith(("HOST", "URL", "URLS", "SERVER", "ENDPOINT"))


def _generators(
    kind: str, values: Mapping[str, Mapping[str, str]], manifests: Manifests, made: dict[str, str]
) -> list[dict[str, Any]]:
    """Return what fills the generators that the manifests have for services, and put the values into ``made``."""
    found = []
    for service in sorted(manifests.generated(kind) & values.keys()):
        folder = f"{kind.lower()}/{service}"
        made |= {f"{folder}/{name}": value for name, value in values[service].items()}
        names = [f"{name}={folder}/{name}" for name in sorted(values[service])]
        found.append({"name": service, "behavior": "merge", "files": names})
    return found


def _image_patches(manifests: Manifests, images: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return patches of the first container of each workload: others, at its side, are the manifest's."""
    return [
        _patch(manifests.workloads()[name]["kind"], name, "/spec/template/spec/containers/0/image", image)
        for name, image in images.items()
    ] + _schedule_patches(manifests, images)


def _schedule_patches(manifests: Manifests, images: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return patches of what runs on a schedule: of each container with the image of a workload."""
    written = {containers(manifests.workloads()[name])[0]["image"]: image for name, image in images.items()}
    return [
        _patch("CronJob", name, f"/spec/jobTemplate/spec/template/spec/{kind}/{number}/image", written[one["image"]])
        for name, job in manifests.of("CronJob").items()
        for kind in ("initContainers", "containers")
        for number, one in enumerate(job["spec"]["jobTemplate"]["spec"]["template"]["spec"].get(kind, []))
        if one["image"] in written
    ]


def _host_patches(manifests: Manifests, names: list[str]) -> list[dict[str, Any]]:
    """Return patches that give all names the paths that an Ingress has for the first; without any it is left out."""
    found: list[dict[str, Any]] = []
    for name, ingress in manifests.of("Ingress").items():
        if not names:
            identity = {"apiVersion": ingress["apiVersion"], "kind": "Ingress", "metadata": {"name": name}}
            found.append({"patch": json.dumps({**identity, "$patch": "delete"})})
            continue
        rules = [{**ingress["spec"]["rules"][0], "host": host} for host in names]
        found.append(_patch("Ingress", name, "/spec/rules", rules))
        if ingress["spec"].get("tls"):
            found.append(_patch("Ingress", name, "/spec/tls/0/hosts", names))
    return found


def _patch(kind: str, name: str, path: str, value: object) -> dict[str, Any]:
    return {
        "target": {"kind": kind, "name": name},
        "patch": json.dumps([{"op": "replace", "path": path, "value": value}]),
    }
