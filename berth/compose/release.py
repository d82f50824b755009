"""Name the image that is shipped after the commit that it is built from."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from berth.errors import Refused

Argv = list[str]

TARGET = "prod"
SHOWN = 5
"""How many changed files a refusal names."""


def revision() -> Argv:
    return ["git", "rev-parse", "HEAD"]


def changes() -> Argv:
    """List what is not committed."""
    return ["git", "status", "--porcelain"]


def commit_time() -> Argv:
    """Say when the commit was made, in RFC 3339, as the labels of images have it."""
    return ["git", "show", "--no-patch", "--format=%cI", "HEAD"]


def version() -> Argv:
    """Name the newest git tag of the commit itself."""
    return ["git", "describe", "--tags", "--exact-match", "HEAD"]


def source() -> Argv:
    return ["git", "remote", "get-url", "origin"]


def name(revision: str, changes: str) -> str:
    """Return the name of a release: 12 digits of its commit, and whether there is more in it than that.

    :param revision: the output of the line `revision`, empty where the project is no git repository.
    :param changes: that of the line `changes`.
    """
    return f"{revision.strip()[:12]}{'-dirty' * bool(changes.strip())}" if revision.strip() else ""


def variables(name: str) -> dict[str, str]:
    """Return what the compose files take for the image that is shipped, and for its labels."""
    return {"BUILD_TARGET": TARGET, **({"BUILD_REVISION": name} if name else {})}


class Facts(NamedTuple):
    """What git says, as its lines print it: see the functions of the same names."""

    revision: str
    changes: str
    commit_time: str
    version: str
    source: str


class Release(NamedTuple):
    """A release, by its tags and labels.

    :param name: see `name`.
    :param version: a second tag, empty: there is none.
    :param created: time of the commit, so that the same commit gives the same labels.
    :param source: where its code can be had, empty: nowhere.
    """

    name: str
    version: str
    created: str
    source: str

    def variables(self) -> dict[str, str]:
        """Return what the compose files take for the image, and for its labels."""
        labels = {"BUILD_VERSION": self.version, "BUILD_CREATED": self.created, "BUILD_SOURCE": self.source}
        return {**variables(self.name), **labels}

    def images(self, repository: str, registry: str) -> list[str]:
        """Return the names of the image, without those of a registry if there is none.

        :param repository: of the image, without a tag.
        :param registry: host of a registry, with a path or without; or empty.
        """
        prefix = f"{registry.rstrip('/')}/" if registry else ""
        return [f"{prefix}{repository}:{tag}" for tag in (self.name, self.version) if tag]


def release(facts: Facts, *, version: str | None, dirty: bool, command: str) -> Release:
    """Return the release of a commit.

    :param version: the version to use; None: the git tag of the commit, if it has one.
    :param dirty: release what is not committed, too; its name says so, and it has no version.
    :param command: what a user types to run a task.
    :raises Refused: there is no commit, it is not all, or the version cannot be the tag of an image.
    """
    if not facts.revision.strip():
        raise Refused("there is no commit to release: type `git init`, then `git add` and `git commit`")
    changed = facts.changes.splitlines()
    if changed and not dirty:
        more = [f"and {len(changed) - SHOWN} more"] * (len(changed) > SHOWN)
        raise Refused(
            "what is not committed could not be built again: commit it, or type "
            f"`{command} release --dirty`\n" + "\n".join(f"  {row}" for row in [*changed[:SHOWN], *more])
        )
    if version is None:
        version = facts.version.strip()
    # https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
    if version and not re.fullmatch(r"\w[\w.-]{0,127}", version, re.ASCII):
        raise Refused(
            f"`{version}` cannot be the tag of an image: type a version of letters, digits, `.`, `_` and `-`, "
            f"`{command} release --version 1.0.0`"
        )
    return Release(
        name(facts.revision, facts.changes),
        "" if changed else version,
        facts.commit_time.strip(),
        without_password(facts.source.strip()),
    )


def without_password(source: str) -> str:
    """Return the address of a repository without user and password, which would be in every image."""
    parts = urlsplit(source)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.scheme else source
