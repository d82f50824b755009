"""What the documents say is there: tests, tasks, files and versions."""

from __future__ import annotations

import copy
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from invoke import Task
from invoke.loader import FilesystemLoader
from invoke.parser import Argument

from berth import env

ROOT = Path(__file__).parent.parent
README, CONTRIBUTING, CHANGELOG = (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
DOCUMENTS = [README, CONTRIBUTING, CHANGELOG, ROOT / "docs" / "deploy.md", ROOT / "docs" / "queues.md"]


def documents(*paths: Path) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("document", paths or DOCUMENTS, ids=lambda path: path.name)


@cache
def tasks() -> frozenset[str]:
    """Return the names of the tasks, as Invoke finds them; the first task of a collection goes by the name of that."""
    module, _ = FilesystemLoader(start=str(ROOT)).load("tasks")
    return frozenset(aliases[0] if aliases else name for name, aliases in module.namespace.task_names.items())


def shown_commands(document: Path) -> list[list[str]]:
    """Return the words of every `inv` line that a document shows."""
    text = document.read_text(encoding="utf-8")
    spans = re.findall(r"`((?:\./)?inv [^`]+)`", text) + re.findall(r"^\$ ((?:\./)?inv .+)$", text, re.MULTILINE)
    return [shlex.split(span) for span in spans]


# --- Commands ----------------------------------------------------------------


def test_every_task_has_a_row_in_the_readme() -> None:
    listed = re.findall(r"^\| `\./inv ([\w.-]+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(tasks())


@documents()
def test_every_command_shown_is_a_task(document: Path) -> None:
    unknown = [words for words in shown_commands(document) if words[1] not in tasks() and not words[1].startswith("-")]
    assert unknown == []


@documents()
def test_every_option_shown_is_one_of_its_task(document: Path) -> None:
    module, _ = FilesystemLoader(start=str(ROOT)).load("tasks")
    for words in shown_commands(document):
        if words[1] not in tasks():
            continue
        known = {flag for argument in arguments(module.namespace[words[1]]) for flag in flags(argument.names)}
        own = words[2 : words.index("--")] if "--" in words else words[2:]
        # What follows the command of another program is that program's.
        if words[1] not in {"exec", "exec-as-host", "manage"}:
            assert {word for word in own if word.startswith("--")} <= known, words


def arguments(task: Task) -> list[Argument]:
    """Return the arguments of a task. Invoke uses their help up as it makes them, so those of a copy."""
    return copy.deepcopy(task).get_arguments()


def flags(names: tuple[str, ...]) -> list[str]:
    return [f"--{name.replace('_', '-')}" for name in names]


@documents(README, CONTRIBUTING)
def test_every_nox_session_shown_is_there(document: Path) -> None:
    line = [sys.executable, "-c", "import noxfile; print(*noxfile.__all__)"]
    names = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    known = set(names.replace("_", "-").split())
    text = document.read_text(encoding="utf-8")
    shown = {
        name
        for names in re.findall(r"(?:nox -s|inv check) ([a-z][\w-]*(?: [a-z][\w-]*)*)", text)
        for name in names.split()
    }
    assert shown
    assert shown <= known


# --- Links, variables and versions -------------------------------------------


@documents()
def test_links_to_files_resolve(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?://", target)]
    missing = []
    for target in targets:
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            missing.append(target)
    assert missing == []


def anchors(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@documents(README)
def test_every_variable_shown_is_in_the_template(document: Path) -> None:
    template = env.parse_template(env.read_text(ROOT / ".env.template"))
    shown = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", document.read_text(encoding="utf-8")))
    assert shown
    assert shown - template.keys() == set()


def test_versions_are_those_of_the_images_and_locks() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())
    images = {
        name: variable.default for name, variable in env.parse_template(env.read_text(ROOT / ".env.template")).items()
    }
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / "prod.txt").read_text(), re.MULTILINE))
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert oldest
    versions = {
        "Python": images["PYTHON_IMAGE"].partition(":")[2],
        "PostgreSQL": images["POSTGRES_IMAGE"].partition(":")[2],
        "ElasticMQ": images["BROKER_IMAGE"].partition(":")[2],
        "Django": locked["django"],
        "Celery": locked["celery"],
    }
    holds = re.search(r"holds (Python .+? ElasticMQ [\d.]+\d)", text)
    assert holds, "README.md names no versions"
    shown = dict(re.findall(r"(\w+) (\d[\d.]*\d|\d)", holds[1]))
    assert shown.keys() == versions.keys()
    wrong = {name for name, version in shown.items() if not re.match(rf"{re.escape(version)}(?![0-9])", versions[name])}
    assert wrong == set()
    assert f"Python {oldest[1]} or newer" in text
