"""The steps of `berth init`: facts, questions, a plan, texts, files."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from berth import env
from berth.env.create import project_name
from berth.errors import Refused
from berth.init import answers as asked
from berth.init import comparing, state, texts, writing
from berth.init.answers import Question, Unanswered
from berth.init.decide import decide, questions
from berth.init.plan import Plan
from berth.inspect import Facts, facts, rendering
from berth.inspect.tree import Tree
from berth.project import Project

MOST_QUESTIONS = 3


class Decided(NamedTuple):
    """What a run has found out, before it writes anything."""

    facts: Facts
    answers: dict[str, str]
    plan: Plan
    texts: dict[str, str]


def given_answers(file: str, words: Sequence[str]) -> dict[str, str]:
    """Return the answers of a file and those of the command line, which win.

    :raises Refused: the file cannot be read, or one is no answer.
    """
    found: dict[str, str] = {}
    if file:
        try:
            read = env.parse(env.read_text(Path(file)), {})
        except OSError as error:
            raise Refused(f"{file} cannot be read ({error.strerror}): name a file of answers") from None
        if read.faults:
            raise Refused(f"{file}: {read.faults[0]}: write lines as `database=postgresql`")
        found = dict(read.values)
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise Refused(f"`{word}` is no answer: write it as `--answer NAME=VALUE`")
        found[name] = value
    return dict(asked.checked(found))


def run(root: Path, given: Mapping[str, str], *, yes: bool, show: Callable[[str], None] | None) -> None:
    """Write the files of a project, and say what was decided.

    :param show: write nothing, but hand this what would be.
    :raises Refused: it cannot be, or a question has no answer.
    """
    known, state_path = writing.recall(root)
    decided = decided_of(root, {**(known.answers if known else {}), **given}, known, yes=yes)
    plan = decided.plan
    written = dict(decided.texts)
    written[f"{plan.folder}/{state.NAME}"] = state.dump(decided.facts, decided.answers, decided.texts, plan.name)
    if known is None and (taken := texts.taken(written, _paths(root, None))):
        raise Refused(
            f"cannot, because the project has {taken[0]} of its own"
            + (f", and {len(taken) - 1} more that Berth writes" if len(taken) > 1 else "")
            + f": move {taken[0]} away, as in `git mv {taken[0]} OTHER-NAME`"
        )
    if show is not None:
        diffs = (
            comparing.diff(writing.content(root / path), text.encode(), path) for path, text in sorted(written.items())
        )
        show("\n".join([rendering.as_table(decided.facts), summary(plan), "".join(diffs)]).rstrip("\n"))
        return
    if known is not None:
        _again(root, decided, known, state_path)
        return
    done = writing.write(root, written)
    print(summary(plan))
    print(f"wrote {len(done)} files, and changed none: {_folders(done)}", file=sys.stderr)
    if not _is_ignored(root, plan.env_file):
        print(
            f"to do: write the line `{plan.env_file}` into .gitignore: it will hold passwords; "
            f"`{Project(root).command()} up` hides it from git in its own checkout only",
            file=sys.stderr,
        )
    print(f"next: commit them, and type `{Project(root).command()} up`", file=sys.stderr)


def _is_ignored(root: Path, name: str) -> bool:
    """Return whether the project's .gitignore plainly has a file at its root."""
    path = root / ".gitignore"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    patterns = [line.strip().removeprefix("**/").removeprefix("/") for line in lines if line.strip()]
    ignored = False
    for pattern in patterns:
        if fnmatch.fnmatchcase(name, pattern.removeprefix("!")):
            ignored = not pattern.startswith("!")
    return ignored


def _again(root: Path, decided: Decided, known: state.State, state_path: str) -> None:
    """Say what a second run finds; it writes nothing."""
    changed = {path for path, text in decided.texts.items() if known.texts.get(path) != text}
    changed |= known.texts.keys() - decided.texts.keys()
    if not changed:
        print(f"nothing to do: {state_path} knows this project, and nothing that its files are made from has changed")
        return
    print(f"{len(changed)} files would be written otherwise now, and stay as they are:", file=sys.stderr)
    print("\n".join(f"  {path}" for path in sorted(changed)), file=sys.stderr)
    print("to write them anew, and keep what you have made of them, type `berth upgrade`", file=sys.stderr)


def renew(root: Path, more: Mapping[str, str]) -> list[str]:
    """Write the files anew with more answers, but for those that somebody has changed, and return their paths.

    :raises Refused: init has not run here.
    """
    known, state_path = writing.recall(root)
    if known is None:
        raise Refused(f"{root} was not made by `berth init`: type it there")
    decided = decided_of(root, {**known.answers, **more}, known, yes=False)
    done = writing.renew(root, known, decided.texts)
    kept = {path: known.texts[path] for path in decided.texts if path not in done and path in known.texts}
    written = {**decided.texts, **kept}
    text = state.dump(decided.facts, decided.answers, written, decided.plan.name)
    writing.replace(root / state_path, text.encode())
    return done


def answers_of(root: Path) -> Mapping[str, str]:
    """Return the answers that a project was made with."""
    known, _ = writing.recall(root)
    return known.answers if known else {}


def plan_of(root: Path) -> Plan:
    """Return the plan of a project that init has written.

    :raises Refused: it has not run here.
    """
    known, _ = writing.recall(root)
    if known is None:
        raise Refused(f"{root} was not made by `berth init`: type it there")
    return decided_of(root, known.answers, known, yes=False).plan


def check(root: Path, given: Mapping[str, str]) -> None:
    """Compare a project with what init would write.

    :raises Refused: init has not run, or something differs.
    """
    known, _ = writing.recall(root)
    if known is None:
        raise Refused(f"{root} was not made by `berth init`: type it there")
    decided = decided_of(root, {**known.answers, **given}, known, yes=False)
    differing = writing.differing(root, decided.texts)
    if differing:
        listed = "\n".join(f"  {how:8}{path}" for path, how in differing.items())
        raise Refused(f"{len(differing)} files are not as init would write them:\n{listed}")
    print("all files are as init would write them")


def remove(root: Path) -> None:
    """Take away what init has written.

    :raises Refused: it has not run here.
    """
    known, state_path = writing.recall(root)
    if known is None:
        raise Refused(f"nothing in {root} was written by `berth init`")
    gone, kept = writing.remove(root, known, state_path)
    print(f"deleted {len(gone) + 1} files", file=sys.stderr)
    for path in kept:
        print(f"kept {path}, which was changed since", file=sys.stderr)


def decided_of(
    root: Path, given: Mapping[str, str], known: state.State | None, *, yes: bool, verb: str = "init"
) -> Decided:
    """Return what is decided, after all questions were answered.

    :param verb: of `berth`, that is to be typed again with an answer.
    :raises Refused: Berth cannot run the project, or a question has no answer.
    """
    ignored = _not_theirs(known)
    answers = dict(given)
    found = facts(root, answers.get("manage", ""), ignored)
    for question in questions(found):
        if question.name not in answers:
            answers[question.name] = _answer(question, verb, yes=yes)
            found = facts(root, answers["manage"], ignored)
    paths = frozenset(Tree(root, ignored).files)
    name = (known and known.project) or project_name(root.name)
    for _ in range(MOST_QUESTIONS + 1):
        try:
            plan = decide(found, answers, paths, name, known.names if known else None)
            return Decided(found, answers, plan, texts.texts(plan, paths))
        except Unanswered as open_:
            answers[open_.question.name] = _answer(open_.question, verb, yes=yes)
    raise AssertionError("a question was asked again")


def _not_theirs(known: state.State | None) -> list[str]:
    """Return the files that init has written, and what `up` has made of the template."""
    if known is None:
        return []
    made = [path.removesuffix(".template") for path in known.texts if path.endswith(".template")]
    new = [f"{path}{writing.BESIDE}" for path in known.texts]
    return [*known.texts, *made, *new, *(f"{folder}/{state.NAME}" for folder in state.FOLDERS)]


def _paths(root: Path, known: state.State | None) -> frozenset[str]:
    return frozenset(Tree(root, list(known.texts) if known else []).files)


def _answer(question: Question, verb: str, *, yes: bool) -> str:
    """Return the answer to a question: its default, or what somebody types.

    :raises Refused: nobody is there to be asked.
    """
    if yes and question.default:
        print(f"{question.text} {question.default}: {question.why}", file=sys.stderr)
        return question.default
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        default = f"; `--yes` takes {question.default}" if question.default else ""
        raise Refused(
            f"{question.text} {question.why}. Nobody can be asked here: type "
            f"`berth {verb} --answer {question.name}={question.default or 'VALUE'}`{default}"
        )
    choices = f" ({', '.join(question.choices)})" if question.choices else ""
    while True:
        print(f"{question.text}\n  {question.why}", file=sys.stderr)
        typed = input(f"{question.name}{choices} [{question.default}]: ").strip() or question.default
        if typed and (not question.choices or typed in question.choices):
            return typed


def summary(plan: Plan) -> str:
    """Return what was decided, for people."""
    rows = [
        ("project", f"{plan.manage} in {plan.django}" if plan.django != "." else plan.manage),
        ("settings", f"{plan.settings}" + (f" (imports {plan.base_settings})" if plan.base_settings else "")),
        ("python", plan.python),
        ("packages", f"{plan.install.format}: {plan.install.files[0]}; added: {' '.join(plan.install.ours) or 'none'}"),
        ("database", f"{plan.database} by {', '.join(_database_names(plan)) or 'the settings'}"),
        ("services", " ".join(each.name for each in plan.services) or "none"),
        ("workers", " ".join(each.name for each in plan.workers) or "none"),
        ("health", plan.health_path),
        ("files", f"{plan.folder}/, {plan.env_template}, {plan.tasks}"),
    ]
    lines = [f"{name:10}{value}" for name, value in rows]
    return "\n".join([*lines, *(f"note: {remark}" for remark in plan.remarks)])


def _database_names(plan: Plan) -> list[str]:
    return [each.name for each in plan.variables if "${DB_" in (each.compose or "")]


def _folders(paths: Sequence[str]) -> str:
    return ", ".join(sorted({path.partition("/")[0] + "/" * ("/" in path) for path in paths}))
