"""Write `docker` lines other than `docker compose`, and read what the engine says to them."""

from __future__ import annotations

from collections.abc import Sequence

Argv = list[str]


def version() -> Argv:
    return ["docker", "version", "--format", "{{.Server.Version}}"]


def inspect(containers: Sequence[str]) -> Argv:
    return ["docker", "container", "inspect", *containers]


def images() -> Argv:
    return ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]


def project_names(kind: str) -> Argv:
    """List the Compose project of each container or volume, stopped ones too.

    :param kind: "container" or "volume".
    """
    everything = ["--all"] if kind == "container" else []
    return ["docker", kind, "ls", *everything, "--format", '{{.Label "com.docker.compose.project"}}']


def complaint(stderr: str) -> str:
    """Return what is wrong and what to do, from what `docker version` said without an engine."""
    said = stderr.strip().splitlines()
    if "permission denied" in stderr:
        return (
            "you may not use the Docker engine: type `sudo usermod -aG docker $USER`, log in again, "
            "and repeat the command"
        )
    reason = f" ({said[-1]})" if said else ""
    return (
        "no Docker engine answers: start Docker Desktop, or type `sudo systemctl start docker`, and repeat the "
        f"command; to install one, see https://docs.docker.com/engine/install/{reason}"
    )


def short_complaint(stderr: str) -> str:
    """Return why no engine answers, in a few words."""
    if "permission denied" in stderr:
        return "you may not use the Docker engine"
    if "not installed" in stderr:
        return stderr
    return "no Docker engine answers"


def compose_complaint(stderr: str) -> str:
    """Return what `docker compose config` said, or that there is no Compose."""
    if "is not a docker command" in stderr or "unknown shorthand flag" in stderr:
        return "Docker has no Compose plugin: install it, see https://docs.docker.com/compose/install/"
    return stderr.strip()
