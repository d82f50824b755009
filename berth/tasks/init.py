"""Let a Django project that was made without Berth run with it."""

from __future__ import annotations

import os
from pathlib import Path

from invoke import Context, task

from berth.arguments import NamesTask
from berth.errors import Refused

PAGER = "less -FRX"
"""Where PAGER names none: it shows what fits at once, as git has it, and leaves it on the screen."""


@task(
    klass=NamesTask,
    iterable=["folder", "answer"],
    help={
        "folder": "The folder of the project; without one, this folder: `berth init shop`.",
        "dry_run": "Show the facts, the decisions and all that would change as a diff, and write nothing.",
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

    root = _root("init", folder)
    if check and remove:
        raise Refused("--check and --remove exclude each other: type one of them")
    given = flow.given_answers(answers, answer)
    if remove:
        flow.remove(root)
    elif check:
        flow.check(root, given)
    else:
        flow.run(root, given, yes=yes, show=(lambda text: _page(c, text)) if dry_run else None)
        if verify and not dry_run:
            from berth.tasks import verification

            verification.verify(c, root)


@task(
    klass=NamesTask,
    iterable=["folder", "answer"],
    help={
        "folder": "The folder of the project; without one, this folder: `berth upgrade shop`.",
        "dry_run": "Show what would change as a diff, write nothing, and end as the upgrade would.",
        "yes": "Take the default of every question that is new.",
        "answer": "One answer to a question that is new: `--answer python=3.13`.",
    },
)
def upgrade(c: Context, folder: list[str], answer: list[str], dry_run: bool = False, yes: bool = False) -> None:
    """Bring what init has written up to this Berth, and keep what you have made of it."""
    from berth import __version__
    from berth.init import changelog, flow, merging, state, upgrading, writing

    root = _root("upgrade", folder)
    if not folder:
        root = next((each for each in (root, *root.parents) if writing.recall(each)[0]), root)
    known, state_path = writing.recall(root)
    if known is None:
        raise Refused(
            f"nothing in {root} was written by `berth init`, or its {state.NAME} is gone: type `berth upgrade FOLDER`, "
            f"or take {state.FOLDERS[0]}/{state.NAME} back from git"
        )
    if not merging.is_repository(c, root):
        raise Refused(f"{root} is in no git repository, which is what takes an upgrade back: type `git init`, commit")
    given = {**known.answers, **flow.given_answers("", answer)}
    decided = flow.decided_of(root, given, known, yes=yes, verb="upgrade")
    found = upgrading.outcomes(root, known.texts, decided.texts, lambda *texts: merging.merge(c, *texts))
    news = changelog.between(changelog.text(), known.version, __version__, known.news)
    since = f"from Berth {known.version} to {__version__}" if known.version != __version__ else "from an earlier build"
    told = [*([since, "", news, ""] if news else []), *upgrading.listed(found)]
    if dry_run or c.config.run.dry:
        _page(c, "\n".join([*told, "", upgrading.diffs(found)]).strip("\n"))
    else:
        text = state.dump(decided.facts, decided.answers, decided.texts, decided.plan.name)
        upgrading.apply(root, found, state_path, text)
        print("\n".join([*told, upgrading.summary(found, state_path)]))
    if open_ := [each.path for each in found if each.what in upgrading.OPEN]:
        raise Refused(f"these stay as they are, with the new text beside them:\n{upgrading.to_do(open_)}")


def _root(verb: str, folder: list[str]) -> Path:
    """Return the folder of the project.

    :raises Refused: the words name several, or none that there is.
    """
    if len(folder) > 1:
        raise Refused(f"`{verb}` takes one folder, not {len(folder)}: type `berth {verb} {folder[0]}`")
    root = Path(folder[0] if folder else ".").resolve()
    if not root.is_dir():
        raise Refused(f"there is no folder `{root}`: type `berth {verb} FOLDER`, with that of a Django project")
    return root


def _page(c: Context, text: str) -> None:
    """Print a long text, on a terminal by a pager."""
    import shlex
    import shutil

    from berth import process
    from berth.init import writing

    pager = shlex.split(os.environ.get("PAGER", PAGER))
    if not process.is_terminal() or not pager or shutil.which(pager[0]) is None:
        print(text)
        return
    with writing.aside({"shown": f"{text}\n".encode()}) as folder:
        process.run(c, [*pager, "shown"], cwd=folder, check=False)
