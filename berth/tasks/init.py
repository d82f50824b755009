"""Let a Django project that was made without Berth run with it."""

from __future__ import annotations

from pathlib import Path

from invoke import Context, task

from berth.arguments import NamesTask
from berth.errors import Refused


@task(
    klass=NamesTask,
    iterable=["folder", "answer"],
    help={
        "folder": "The folder of the project; without one, this folder: `berth init shop`.",
        "dry_run": "Show the facts, the decisions and the new files, and write nothing.",
        "yes": "Take the default of every question, a new berth_settings.py among them.",
        "answers": "A file of answers, as `database=postgresql`, one to a line.",
        "answer": "One answer: `--answer python=3.13`.",
        "check": "Write nothing; fail if the project is not as init would leave it.",
        "remove": "Delete the files that init has written, but those that were changed since.",
        "verify": "Build, start and try it afterwards, and note what was found.",
    },
)
def init(
    c: Context,
    folder: list[str],
    answer: list[str],
    dry_run: bool = False,
    yes: bool = False,
    answers: str = "",
    check: bool = False,
    remove: bool = False,
    verify: bool = False,
) -> None:
    """Write what a Django project needs to run with Berth: new files only, none of its own is changed."""
    from berth.init import flow  # not at every start of `inv`

    if len(folder) > 1:
        raise Refused(f"`init` takes one folder, not {len(folder)}: type `berth init {folder[0]}`")
    root = Path(folder[0] if folder else ".").resolve()
    if not root.is_dir():
        raise Refused(f"there is no folder `{root}`: type `berth init FOLDER`, with that of a Django project")
    if check and remove:
        raise Refused("--check and --remove exclude each other: type one of them")
    given = flow.given_answers(answers, answer)
    if remove:
        flow.remove(root)
    elif check:
        flow.check(root, given)
    else:
        flow.run(root, given, yes=yes, dry_run=dry_run)
        if verify and not dry_run:
            from berth.tasks import verification

            verification.verify(c, root)
