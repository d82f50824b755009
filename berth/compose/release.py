"""Name the image that is shipped after the commit that it is built from."""

from __future__ import annotations

Argv = list[str]

TARGET = "prod"


def revision() -> Argv:
    return ["git", "rev-parse", "HEAD"]


def changes() -> Argv:
    """List what is not committed."""
    return ["git", "status", "--porcelain"]


def name(revision: str, changes: str) -> str:
    """Return the name of a release: 12 digits of its commit, and whether there is more in it than that.

    :param revision: the output of the line `revision`, empty where the project is no git repository.
    :param changes: that of the line `changes`.
    """
    return f"{revision.strip()[:12]}{'-dirty' * bool(changes.strip())}" if revision.strip() else ""


def variables(name: str) -> dict[str, str]:
    """Return what the compose files take for the image that is shipped, and for its labels."""
    return {"BUILD_TARGET": TARGET, **({"BUILD_REVISION": name} if name else {})}
