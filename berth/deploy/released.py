"""Find what a deployment starts from: the image of the commit, and the files that hold the values of production."""

from __future__ import annotations

from pathlib import Path

from invoke import Context

from berth import process
from berth.compose import release
from berth.compose.config import Stack
from berth.env import prepare
from berth.errors import Refused
from berth.project import Project


def env_files(here: Project) -> str:
    """Return what Compose takes as COMPOSE_ENV_FILES: `.env`, and DEPLOY_ENV_FILE above it.

    :raises Refused: there is no such file.
    """
    own = prepare.value(here, "DEPLOY_ENV_FILE")
    if own and not Path(here.root, own).is_file():
        raise Refused(f"DEPLOY_ENV_FILE is `{own}`, and there is no such file: write it, with the values of production")
    return f".env,{own}" if own else ".env"


def variables(here: Project, *, unsafe_migrations: bool = False) -> dict[str, str]:
    """Return the variables that turn the project's Compose configuration into that of a deployment.

    :param unsafe_migrations: apply migrations, too, that the running version cannot live with.
    :raises Refused: as `env_files`.
    """
    allowed = {"UNSAFE_MIGRATIONS": "warn"} if unsafe_migrations else {}
    return {"COMPOSE_ENV_FILES": env_files(here), **release.variables(""), **allowed}


def image(c: Context, here: Project, stack: Stack) -> str:
    """Return the image of the commit that is checked out, as `release` names it and pushes it to REGISTRY.

    :raises Refused: the checkout holds more than the commit, or there is none.
    """
    asked = (process.capture(c, line, cwd=here.root) for line in (release.revision(), release.changes()))
    found = release.name(*(answer.stdout for answer in asked))
    if not found:
        raise Refused("this folder is no git repository, whose commit names the image: name it by `--image`")
    built = str(stack.definition(stack.with_role("app"))["image"]).rpartition(":")[0]
    registry = prepare.value(here, "REGISTRY").rstrip("/")
    named = f"{f'{registry}/' if registry else ''}{built}:{found}"
    if found.endswith("-dirty"):
        raise Refused(f"there are changes that are not committed: commit them, or deploy them by `--image {named}`")
    return named
