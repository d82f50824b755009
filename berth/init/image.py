"""Write the Dockerfile of a project, and the files beside it.

The stages are those of the example's docker/app/Dockerfile. What differs from project to project is how its packages
are installed: by its own tool from its own lock, which install_packages.py does in the build, where Python, platform
and index are known; so it brings in a compiler only when a package has no wheel there, and measures what it needs then.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from berth import template
from berth.init.image_stages import dockerfile, has_celery, has_fast_sqs
from berth.init.plan import Plan

HERE = Path(__file__).parent / "files"
LOCKS = HERE / "locks"

SLIM = {"3.8": "bookworm"}
"""The Debian below upstream's image of a Python, where it is none of the newest."""
NEWEST = "trixie"

DEVELOPMENT_ONLY = ("reload_on_edit.py", "reload_on_request.py", "start-dev-server.sh")
SQS_LIBRARY = "fast_sqs"
"""What berth_worker.py gives a worker whose broker is SQS."""
CELERY_ONLY = (
    "start-celery-worker.sh",
    "start-celery-beat.sh",
    "check-worker.sh",
    "berth_beat.py",
    "berth_worker.py",
    "reload_on_edit.py",
)


def python_image(python: str) -> str:
    """Return the name of upstream's image.

    :param python: as `3.13`.
    """
    return f"python:{python}-slim-{SLIM.get(python, NEWEST)}"


def files(plan: Plan) -> dict[str, str]:
    """Return the Dockerfile and what it copies, by path below the project's root; `#!` begins a program."""
    found = {
        plan.path("app/Dockerfile"): dockerfile(plan),
        plan.path("app/Dockerfile.dockerignore"): ignored(plan),
        plan.path("app/build.txt"): _template("requirements/build.txt"),
        plan.path("app/install_packages.py"): (HERE / "install_packages.py").read_text(encoding="utf-8"),
        plan.path("app/system_packages.py"): (HERE / "system_packages.py").read_text(encoding="utf-8"),
    }
    if plan.install.format == "poetry":
        found[plan.path("app/poetry.txt")] = _lock("poetry")
    if text := ours(plan):
        found[plan.path("app/ours.txt")] = text
    for file in template.files():
        if file.path.parent == PurePosixPath("docker/app") and not _left_out(file.path.name, plan):
            found[plan.path(f"app/{file.path.name}")] = file.source.read_text(encoding="utf-8")
        elif file.path.parent == PurePosixPath("docker/app") / SQS_LIBRARY and has_fast_sqs(plan):
            found[plan.path(f"app/{SQS_LIBRARY}/{file.path.name}")] = file.source.read_text(encoding="utf-8")
    return dict(sorted(found.items()))


def ours(plan: Plan) -> str:
    """Return the lock of what Berth adds to the project's packages, with hashes; "" when that is nothing.

    :raises KeyError: Berth has no lock of one of them.
    """
    wanted = [lock_of(requirement) for requirement in plan.install.ours]
    if has_celery(plan):
        wanted.append("watchfiles")
    entries: dict[str, str] = {}
    for name in dict.fromkeys(wanted):
        for entry in re.split(r"\n(?=[A-Za-z0-9])", _lock(name).strip()):
            if not entry.startswith("#"):
                entries.setdefault(entry.partition(" \\")[0], entry)
    if not entries:
        return ""
    header = "# What the images need beside the project's own packages. None replaces one of those.\n"
    return header + "\n".join(entries[key] for key in sorted(entries)) + "\n"


def lock_of(requirement: str) -> str:
    """Return the name of Berth's lock of a requirement, as `psycopg` for `psycopg[binary]>=3`."""
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")
    name = {"psycopg2-binary": "psycopg2", "psycopg-binary": "psycopg"}.get(name, name)
    if not (LOCKS / f"{name}.txt").is_file():
        raise KeyError(f"Berth has no lock of {name}")
    return name


def ignored(plan: Plan) -> str:
    """Return what is no part of an image; beside the Dockerfile, so that the project's .dockerignore stays its own."""
    return f"""\
# Read in the place of the project's .dockerignore, for {plan.path("app/Dockerfile")} alone.

# Secrets, at any depth.
**/.env
**/.env.*
**/*.env
**/.envrc

# Never part of an image.
**/.git
**/.venv
**/venv
**/.tox
**/.nox
**/node_modules
**/__pycache__
**/*.py[cod]
**/.pytest_cache
**/.mypy_cache
**/.ruff_cache
**/.coverage
**/*.sqlite3
.berth
"""


def _left_out(name: str, plan: Plan) -> bool:
    if name in {"Dockerfile", "Dockerfile.dockerignore"}:
        return True
    if name in CELERY_ONLY and not has_celery(plan):
        return True
    return name == "collect_static.py" and not plan.static_root


def _lock(name: str) -> str:
    return (LOCKS / f"{name}.txt").read_text(encoding="utf-8")


def _template(path: str) -> str:
    return next(file.source for file in template.files() if str(file.path) == path).read_text(encoding="utf-8")
