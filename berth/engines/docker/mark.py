"""Remember in a checkout that its services ran in containers, and as which Compose project.

Without it nobody could tell, while the engine does not answer, that there is data in its volumes; or that a `.env` was
copied from another checkout, whose containers bear the same name.
"""

from __future__ import annotations

from berth.project import Project

FILE = "docker"


def read(here: Project) -> str | None:
    """Return the Compose project that ran here last, or None."""
    try:
        root, name = (here.state / FILE).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ValueError):
        return None
    # A copy of the whole folder brings the file along.
    return name if root == str(here.root) else None


def write(here: Project, name: str) -> None:
    """Remember a Compose project."""
    if read(here) != name:
        here.state.mkdir(exist_ok=True)
        (here.state / FILE).write_text(f"{here.root}\n{name}\n", encoding="utf-8")
