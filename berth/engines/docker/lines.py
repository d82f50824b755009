"""Write `docker` lines other than `docker compose`."""

from __future__ import annotations

from collections.abc import Sequence

Argv = list[str]


def version() -> Argv:
    return ["docker", "version", "--format", "{{.Server.Version}}"]


def buildx_version() -> Argv:
    return ["docker", "buildx", "version"]


def inspect(containers: Sequence[str]) -> Argv:
    return ["docker", "container", "inspect", *containers]


def stop(container: str) -> Argv:
    return ["docker", "stop", container]


def images() -> Argv:
    return ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]


def volumes() -> Argv:
    return ["docker", "volume", "ls", "--format", "{{.Name}}"]


def image_id(image: str) -> Argv:
    return ["docker", "image", "inspect", "--format", "{{.Id}}", image]


def tag(image: str, other: str) -> Argv:
    return ["docker", "tag", image, other]


def run_alone(image: str, command: Sequence[str]) -> Argv:
    """Run a program of an image, without its entry point, and without a network."""
    return ["docker", "run", "--rm", "--network", "none", "--entrypoint", command[0], image, *command[1:]]


def push(image: str) -> Argv:
    return ["docker", "push", image]


def project_names(kind: str) -> Argv:
    """List the Compose project of each container or volume, stopped ones too.

    :param kind: "container" or "volume".
    """
    everything = ["--all"] if kind == "container" else []
    return ["docker", kind, "ls", *everything, "--format", '{{.Label "com.docker.compose.project"}}']


def working_folders(project: str) -> Argv:
    """List the folders from which the containers of a Compose project were started."""
    label = "com.docker.compose.project"
    wanted, shown = f"label={label}={project}", f'{{{{.Label "{label}.working_dir"}}}}'
    return ["docker", "container", "ls", "--all", "--filter", wanted, "--format", shown]
