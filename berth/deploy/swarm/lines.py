"""Write the `docker` lines that drive a swarm."""

from __future__ import annotations

from collections.abc import Sequence

Argv = list[str]

STACK = "com.docker.stack.namespace"
"""The label by which docker knows what belongs to a stack, and takes it away with it."""

RELEASE = "berth.release"
"""The label of a config that holds the stack file of a release: its number."""

IMAGE = "berth.image"


def swarm() -> Argv:
    """Ask an engine whether it is in a swarm, and whether it manages it."""
    return ["docker", "info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}} {{.Swarm.Nodes}}"]


def image(image: str) -> Argv:
    return ["docker", "image", "inspect", "--format", "{{.Id}}", image]


def check(file: str) -> Argv:
    """Let docker check a stack file."""
    return ["docker", "stack", "config", "--compose-file", file]


def deploy(stack: str, file: str, *, prune: bool, pull: bool) -> Argv:
    """
    :param prune: take away services that the file does not name.
    :param pull: nodes get images from a registry, with the login of this machine; false: they have them already.
    """
    source = ["--with-registry-auth"] if pull else ["--resolve-image", "never"]
    return ["docker", "stack", "deploy", "--compose-file", file, "--detach=true", *["--prune"] * prune, *source, stack]


def create(kind: str, name: str, file: str, stack: str, labels: Sequence[str] = ()) -> Argv:
    """
    :param kind: "secret" or "config".
    """
    words = [word for label in (f"{STACK}={stack}", *labels) for word in ("--label", label)]
    return ["docker", kind, "create", *words, name, file]


def listed(kind: str, stack: str) -> Argv:
    return ["docker", kind, "ls", "--filter", f"label={STACK}={stack}", "--format", "{{.Name}}"]


def remove(kind: str, names: Sequence[str]) -> Argv:
    return ["docker", kind, "rm", *names]


def releases(stack: str) -> Argv:
    """List the configs of releases; the format cannot show labels that hold a dot."""
    filters = ["--filter", f"label={STACK}={stack}", "--filter", f"label={RELEASE}"]
    return ["docker", "config", "ls", *filters, "--format", "{{.Name}}"]


def inspect(kind: str, names: Sequence[str]) -> Argv:
    """
    :param kind: "config", "service", "task" or "container".
    """
    return ["docker", "inspect", "--type", kind, *names]


def inspect_configs(names: Sequence[str]) -> Argv:
    return ["docker", "config", "inspect", *names]


def services(stack: str) -> Argv:
    return ["docker", "service", "ls", "--filter", f"label={STACK}={stack}", "--format", "json"]


def tasks(stack: str) -> Argv:
    return ["docker", "stack", "ps", "--no-trunc", "--format", "json", stack]


def logs(task: str, *, tail: int) -> Argv:
    return ["docker", "service", "logs", "--raw", "--tail", str(tail), task]


def scale(replicas: Sequence[str]) -> Argv:
    return ["docker", "service", "scale", "--detach", *replicas]


def show_services(stack: str) -> Argv:
    return ["docker", "stack", "services", stack]


def show_tasks(stack: str) -> Argv:
    columns = "table {{.Name}}\t{{.Image}}\t{{.Node}}\t{{.CurrentState}}\t{{.Error}}"
    return ["docker", "stack", "ps", "--filter", "desired-state=running", "--format", columns, stack]
