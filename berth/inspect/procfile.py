"""Read the commands that a project is run with: Procfiles, scripts, the CMD of Dockerfiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from berth.inspect import dockerfile, shell
from berth.inspect.model import Fact, Place
from berth.inspect.tree import Tree, is_test

LINE = re.compile(r"^(?P<name>[\w-]+):[ \t]*(?P<command>\S[^\n]*)$")
COMMAND = re.compile(
    r"^[^#\n]*\b((?:celery|gunicorn|uvicorn|daphne|uwsgi|manage\.py (?:qcluster|rqworker|run_huey|rundramatiq))\b.*)$"
)

DAEMON = re.compile(
    r"^\s*(?:attach-daemon2?|smart-attach-daemon2?|command|ExecStart)\s*=\s*"
    r"(?P<command>[^\n]*?\bmanage\.py\s+(?P<verb>[a-z_]\w*)[^\n]*)$"
)
ONCE = re.compile(r"migrate|runserver|collectstatic|compress|check|createcachetable|create_?superuser")
"""Commands that end, or serve the web."""


@dataclass(frozen=True)
class Process:
    """A command that the project's files start.

    :param is_worker: it runs on and on, and is no web server.
    """

    name: str
    command: str
    place: Place
    is_worker: bool = False


def processes(tree: Tree) -> list[Process]:
    """Return what Procfiles declare."""
    found = []
    for file in tree.named("Procfile", "Procfile.*"):
        for number, line in enumerate(tree.text(file).splitlines(), 1):
            if match := LINE.match(line):
                name = match["name"]
                is_worker = name not in {"web", "release", "postdeploy", "predeploy", "postcompile"}
                found.append(Process(name, match["command"].strip(), Place(file, number), is_worker))
    return found


def of_scripts(tree: Tree) -> Iterator[Process]:
    """Give the servers and workers that shell scripts, Dockerfiles and other start files run."""
    files = [
        file
        for file in tree.named(
            "*.sh", "Makefile", "justfile", "*entrypoint*", "supervisor*.conf", "*.service", "celery*"
        )
        if not is_test(file) and not file.endswith((".py", ".rst", ".md"))
    ]
    for file in files:
        for number, line in enumerate(tree.text(file).replace("\\\n", "  ").splitlines(), 1):
            match = None if line.startswith("Description") else COMMAND.match(line)
            # An odd quote: the words stand in a message.
            if match and match[1].count('"') % 2 == 0 and match[1].count("'") % 2 == 0:
                yield Process(file.rpartition("/")[2], match[1].strip(), Place(file, number))
    for file, instructions in dockerfile.by_file(tree).items():
        for each in instructions:
            if each.word in {"CMD", "ENTRYPOINT"}:
                text = shell.unbroken(each.value)
                words = re.findall(r'"([^"]*)"', text) if text.startswith("[") else [text]
                yield Process(f"{file.rpartition('/')[2]} {each.word}", " ".join(words), each.place)


def daemons(tree: Tree) -> Iterator[Process]:
    """Give the commands of manage.py that uWSGI, supervisord or systemd keep running beside the web server."""
    for file in tree.named("*.ini", "supervisor*.conf", "*.service"):
        if is_test(file):
            continue
        for number, line in enumerate(tree.text(file).splitlines(), 1):
            match = DAEMON.match(line)
            # Such a reference is to be filled in by what reads the file.
            if match and not ONCE.match(match["verb"]) and "%(" not in match["command"]:
                yield Process(match["verb"].replace("_", "-"), match["command"].strip(), Place(file, number), True)


def facts(found: list[Process]) -> list[Fact]:
    """Return a fact `process.NAME` for each process of a Procfile."""
    return [Fact(f"process.{each.name}", each.command, each.place) for each in found]
