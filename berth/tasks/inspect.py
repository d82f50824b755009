"""Find out what a Django project is made of."""

from __future__ import annotations

from pathlib import Path

from invoke import Context, task

from berth.arguments import NamesTask
from berth.errors import Refused


@task(
    klass=NamesTask,
    iterable=["folder"],
    help={
        "folder": "The folder of the project; without one, this folder: `berth inspect shop`.",
        "json": "Print JSON, for other programs.",
    },
)
def inspect(c: Context, folder: list[str], json: bool = False) -> None:
    """Show what a Django project is made of, read from its files: none of its code runs, nobody is asked."""
    from berth.inspect import facts, rendering  # not at every start of `inv`

    if len(folder) > 1:
        raise Refused(f"`inspect` takes one folder, not {len(folder)}: type `berth inspect {folder[0]}`")
    root = Path(folder[0] if folder else ".")
    if not root.is_dir():
        raise Refused(f"there is no folder `{root}`: type `berth inspect FOLDER`, with that of a Django project")
    found = facts(root)
    print(rendering.as_json(found) if json else rendering.as_table(found))
