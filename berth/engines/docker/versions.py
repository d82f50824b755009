"""Read what `docker version` and its like say, and where Docker keeps its files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

Version = tuple[int, int]

LEAST_ENGINE: Version = (25, 0)  # health checks with `start_interval`
LEAST_COMPOSE: Version = (2, 24)  # `!reset` in an overlay, COMPOSE_ENV_FILES
LEAST_BUILDX: Version = (0, 17)  # buildxMinVersion of Compose 5, which builds with it; Compose 2 brings its own


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


def version_complaint(engine: str, compose: str, buildx: str) -> str | None:
    """Return which of the three is missing or too old, and what to do; None when none is.

    :param engine: the output of the line `version`.
    :param compose: that of `docker compose version --short`, empty without Compose.
    :param buildx: that of the line `buildx_version`, empty without buildx.
    """
    found = _version(compose)
    if found is None:
        return "Docker has no Compose plugin: install it, see https://docs.docker.com/compose/install/"
    if found < LEAST_COMPOSE:
        return _too_old("Compose", compose, LEAST_COMPOSE, "https://docs.docker.com/compose/install/")
    if (_version(engine) or LEAST_ENGINE) < LEAST_ENGINE:
        return _too_old("Docker Engine", engine, LEAST_ENGINE, "https://docs.docker.com/engine/install/")
    if found >= (5, 0):
        site = "https://github.com/docker/buildx#installing"
        builder = _version(buildx)
        if builder is None:
            return f"Compose {compose.strip()} builds with buildx, which is not installed: see {site}"
        if builder < LEAST_BUILDX:
            number = ".".join(map(str, builder))
            return _too_old("buildx", number, LEAST_BUILDX, site)
    return None


def socket(environ: Mapping[str, str], config: str) -> str | None:
    """Return the path of the socket that `docker` talks to, or None where it is no socket, or another context's.

    :param config: the text of Docker's config.json, empty without one.
    """
    host = environ.get("DOCKER_HOST", "")
    if host:
        return host.removeprefix("unix://") if host.startswith("unix://") else None
    try:
        context = environ.get("DOCKER_CONTEXT") or json.loads(config or "{}").get("currentContext")
    except (ValueError, AttributeError):
        return None
    return "/var/run/docker.sock" if context in {None, "", "default"} else None


def compose_plugins(docker_config: Path) -> list[Path]:
    """Return where `docker` looks for its Compose plugin on Linux and macOS.

    :param docker_config: Docker's configuration folder, `~/.docker`.
    """
    folders = ["/usr/local/lib/docker", "/usr/local/libexec/docker", "/usr/lib/docker", "/usr/libexec/docker"]
    return [folder / "cli-plugins" / "docker-compose" for folder in (docker_config, *map(Path, folders))]


def _version(text: str) -> Version | None:
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def _too_old(name: str, found: str, least: Version, site: str) -> str:
    needed = ".".join(map(str, least))
    return f"{name} {found.strip()} is too old, Berth needs {needed} or newer: update it, see {site}"
