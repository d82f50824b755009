"""Read the Dockerfiles of a project: images, variables, commands, health checks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from berth.inspect.model import Place
from berth.inspect.tree import Tree, is_test

PATTERNS = ("*Dockerfile*", "*.dockerfile", "Containerfile*")
SIDE = re.compile(r"nginx|caddy|http/|proxy|postgres|docs|node|integration|playwright|localstack")
HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    :param word: in capitals: FROM, RUN.
    :param value: what follows, the lines of a continued instruction joined by line breaks.
    """

    word: str
    value: str
    place: Place


def instructions(text: str, file: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile; what is none is left out."""
    found: list[Instruction] = []
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        start = number
        body = [lines[number]]
        goes_on = _continues(lines[number])
        while goes_on and number + 1 < len(lines):
            number += 1
            body.append(lines[number])
            # A comment between continued lines ends nothing.
            goes_on = lines[number].lstrip().startswith("#") or _continues(lines[number])
        number += 1
        for end in HEREDOC.findall(body[0]) if body[0].lstrip().upper().startswith(("RUN", "COPY")) else ():
            while number < len(lines) and lines[number].strip() != end:
                body.append(lines[number])
                number += 1
            number += 1
        joined = "\n".join(line.rstrip().removesuffix("\\") for line in body if not line.lstrip().startswith("#"))
        word, _, value = joined.strip().partition(" ")
        if word.isalpha():
            found.append(Instruction(word.upper(), value.strip(), Place(file, start + 1)))
    return found


def _continues(line: str) -> bool:
    return line.rstrip().endswith("\\") and not line.lstrip().startswith("#")


def with_arguments(found: list[Instruction], text: str) -> str:
    """Return a text with the defaults of the ARGs and the values of the ENVs in the place of their names."""
    values = {}
    for instruction in found:
        if instruction.word in {"ARG", "ENV"}:
            values.update({name: value for name, value in assignments(instruction.value) if "$" not in value})

    def value(match: re.Match[str]) -> str:
        return values.get(match["name"], match["default"] or match[0])

    return re.sub(r"\$\{?(?P<name>\w+)(?::-(?P<default>[^}]*))?\}?", value, text)


def assignments(value: str) -> Iterator[tuple[str, str]]:
    """Give the pairs of an ENV or ARG, in the old form `NAME value`, too."""
    try:
        words = shlex.split(value.replace("\n", " "))
    except ValueError:
        words = value.split()
    if len(words) > 1 and "=" not in words[0]:
        yield words[0], " ".join(words[1:])
        return
    for word in words:
        name, equals, rest = word.partition("=")
        if equals and name.isidentifier():
            yield name, rest


def images(found: list[Instruction]) -> Iterator[tuple[str, Place]]:
    """Give the images that stages build on, without those that are stages themselves."""
    stages: set[str] = set()
    for instruction in found:
        if instruction.word == "FROM":
            words = [word for word in with_arguments(found, instruction.value).split() if not word.startswith("--")]
            if words and words[0] not in stages:
                yield words[0], instruction.place
            if len(words) >= 3 and words[1].lower() == "as":
                stages.add(words[2])


def files(tree: Tree) -> list[str]:
    """Return the Dockerfiles, the one that probably runs the project first."""
    found = [file for file in tree.named(*PATTERNS) if not file.endswith((".dockerignore", ".md", ".py", ".j2"))]
    return sorted(found, key=lambda file: (_rank(tree, file), file.count("/"), len(file), file))


def _rank(tree: Tree, file: str) -> int:
    text = tree.text(file)
    if (
        is_test(file)
        or SIDE.search(file)
        or file.startswith((".devcontainer", ".github", ".gitpod"))
        or "devcontainer" in file
    ):
        return 3
    runs = re.search(r"manage\.py|gunicorn|uwsgi|uvicorn|daphne|collectstatic", text)
    installs = re.search(r"requirements|uv sync|poetry|pipenv|pip install|pyproject", text)
    if "dev" in file.lower() or "local" in file.lower() or "test" in file.lower():
        return 1 if runs or installs else 3
    return 0 if runs and installs else 1 if runs or installs else 2


def by_file(tree: Tree) -> dict[str, list[Instruction]]:
    """Return the instructions of each Dockerfile, in the order of `files`."""
    return {file: instructions(tree.text(file), file) for file in files(tree)}
