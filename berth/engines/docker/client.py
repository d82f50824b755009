"""Make sure that an engine answers, and ask it what it has."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from invoke import Context

from berth import process
from berth.compose import lines as compose
from berth.engines.docker import lines, versions
from berth.errors import Refused
from berth.project import Project


def check(c: Context, here: Project, *, thoroughly: bool) -> None:
    """Make sure that an engine and Compose are there, at no cost where a look at their files tells.

    :param thoroughly: ask them for their versions all the same.
    :raises Refused: no engine answers, or it, Compose or buildx is missing or too old.
    """
    if not thoroughly and files_tell():
        return
    answer = process.capture(c, lines.version(), cwd=here.root)
    if answer.returncode != 0:
        raise Refused(versions.complaint(answer.stderr))
    found = (process.capture(c, line, cwd=here.root) for line in (compose.version(), lines.buildx_version()))
    complaint = versions.version_complaint(answer.stdout, *(made.stdout * (made.returncode == 0) for made in found))
    if complaint:
        raise Refused(complaint)


def short_complaint(c: Context, here: Project) -> str | None:
    """Return why no engine answers, in a few words; None: one does."""
    if files_tell():
        return None
    answer = process.capture(c, lines.version(), cwd=here.root)
    return versions.short_complaint(answer.stderr) if answer.returncode != 0 else None


def files_tell() -> bool:
    """Tell whether there is a client, the engine's socket takes connections, and Compose's file is there."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))
    try:
        config = (folder / "config.json").read_text(encoding="utf-8")
    except OSError:
        config = ""
    path = versions.socket(os.environ, config)
    if path is None or shutil.which("docker") is None:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        if probe.connect_ex(path) != 0:
            return False
    return any(plugin.exists() for plugin in versions.compose_plugins(folder))


def projects(c: Context, here: Project) -> set[str]:
    """Return the Compose projects that have a container or a volume; none without an engine."""
    answers = (
        process.capture(c, lines.project_names(kind), cwd=here.root, missing=True) for kind in ("container", "volume")
    )
    return {name for answer in answers for name in answer.stdout.split()}


def foreign_folder(c: Context, here: Project, project: str, folder: Path) -> Path | None:
    """Return the folder of another checkout whose containers bear the name of our Compose project, or None.

    :param folder: the one from which ours are started.
    """
    listed = process.capture(c, lines.working_folders(project), cwd=here.root).stdout.splitlines()
    others = {Path(line) for line in listed if line} - {folder}
    # A checkout that was moved, or deleted, is no other one.
    return next((other for other in sorted(others) if other.exists()), None)
