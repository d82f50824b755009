"""Ask and tell the engine that manages a swarm."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping, Sequence
from subprocess import CompletedProcess
from typing import Any

from invoke import Context

from berth import process
from berth.deploy.swarm import files, lines, state
from berth.deploy.swarm.service import File
from berth.deploy.swarm.stack import Document, is_of_a_registry
from berth.errors import Refused
from berth.project import Project

TAIL = 50
"""Lines of a log that explain a failure."""


class Cluster:
    """One stack of a swarm.

    :param context: a context of docker, or `ssh://USER@HOST`; None: the engine in use.
    """

    def __init__(self, c: Context, here: Project, stack: str, context: str | None) -> None:
        self.c = c
        self.here = here
        self.stack = stack
        self._context = context
        remote = {} if context is None else {"DOCKER_HOST" if "://" in context else "DOCKER_CONTEXT": context}
        self._variables = remote

    def check(self) -> None:
        """:raises Refused: no engine answers, or it manages no swarm."""
        answer = self.ask(lines.swarm())
        where = f"the engine of `{self._context}`" if self._context else "this engine"
        if answer.returncode != 0 or len(answer.stdout.split()) != 3:
            raise Refused(f"{where} does not answer: {answer.stderr.strip() or answer.stdout.strip()}")
        node, manages, _ = answer.stdout.split()
        if node != "active":
            raise Refused(
                f"{where} is in no swarm: type `{self.typed(['docker', 'swarm', 'init'])}`, see docs/deploy.md"
            )
        if manages != "true":
            raise Refused(f"{where} is a worker of its swarm: name a manager by `--context`")

    def typed(self, words: Sequence[str]) -> str:
        """Return a line as it has to be typed to reach this engine."""
        return process.line(words, env=self._variables)

    def has_image(self, image: str) -> bool:
        return self.ask(lines.image(image)).returncode == 0

    def services(self) -> dict[str, state.Service]:
        listed = self.ask(lines.services(self.stack)).stdout
        names = [json.loads(row)["Name"] for row in listed.splitlines()]
        inspected = self.ask(lines.inspect("service", names)).stdout if names else ""
        return state.services(listed, inspected, self.stack)

    def tasks(self) -> list[state.Task]:
        answer = self.ask(lines.tasks(self.stack))
        return state.tasks(answer.stdout, self.stack) if answer.returncode == 0 else []

    def keep(self, kind: str, wanted: Sequence[File]) -> None:
        """Let the swarm have secrets or configs; what it has is not told again."""
        present = set(self.ask(lines.listed(kind, self.stack)).stdout.split())
        for file in wanted:
            if file.name not in present:
                with files.handed(self.here, file.content, "content") as path:
                    self.run(lines.create(kind, file.name, path, self.stack))

    def forget(self, kind: str, unwanted: Collection[str]) -> None:
        """Take secrets or configs away, as far as nothing uses them."""
        for name in sorted(unwanted):
            # In use, by a service that is about to go: the next deployment takes it away.
            self.ask(lines.remove(kind, [name]))

    def names(self, kind: str) -> set[str]:
        return set(self.ask(lines.listed(kind, self.stack)).stdout.split())

    def check_document(self, document: Document) -> None:
        """:raises Refused: docker refuses a stack file."""
        with files.handed(self.here, json.dumps(document).encode(), "stack.json") as path:
            answer = self.ask(lines.check(path))
        if answer.returncode != 0:
            raise Refused(f"docker refuses the stack file: {answer.stderr.strip()}")

    def apply(self, document: Document, *, prune: bool) -> None:
        """Let the swarm have the services of a stack file."""
        images = [str(one["image"]) for one in document["services"].values()]
        pull = any(is_of_a_registry(image) for image in images)
        content = json.dumps(document, indent=1).encode()
        with files.handed(self.here, content, "stack.json") as path:
            self.run(lines.deploy(self.stack, path, prune=prune, pull=pull))

    def releases(self) -> dict[int, str]:
        """Return the configs that hold the stack files of releases, by their numbers, the oldest first."""
        names = self.ask(lines.releases(self.stack)).stdout.split()
        found = {int(match[1]): name for name in names if (match := re.search(r"_release-(\d+)$", name))}
        return dict(sorted(found.items()))

    def document(self, config: str) -> Document:
        """Return the stack file that a config holds."""
        answer = self.ask(lines.inspect_configs([config]))
        if answer.returncode != 0:
            raise Refused(answer.stderr.strip())
        read: list[dict[str, Any]] = json.loads(answer.stdout)
        document: Document = json.loads(base64.b64decode(read[0]["Spec"]["Data"]))
        return document

    def remember(self, number: int, document: Document) -> None:
        """Let the swarm keep the stack file of a release."""
        with files.handed(self.here, json.dumps(document).encode(), "stack.json") as path:
            name = f"{self.stack}_release-{number}"
            self.run(lines.create("config", name, path, self.stack, [f"{lines.RELEASE}={number}"]))

    def scale(self, replicas: Mapping[str, int]) -> None:
        self.run(lines.scale([f"{self.stack}_{name}={number}" for name, number in replicas.items()]))

    def remove_service(self, name: str) -> None:
        self.ask(lines.remove("service", [f"{self.stack}_{name}"]))

    def show(self) -> None:
        self.run(lines.show_services(self.stack))
        self.run(lines.show_tasks(self.stack))

    def why(self, task: state.Task) -> str:
        """Return why a task failed: the engine's word, the last failed health check, and the end of its log."""
        inspected = json.loads(self.ask(lines.inspect("task", [task.id])).stdout or "[]")
        container = (inspected[0]["Status"].get("ContainerStatus") or {}).get("ContainerID") if inspected else None
        # It may have run on another node, whose containers this engine does not know.
        checked = state.health(self.ask(lines.inspect("container", [container])).stdout) if container else ""
        answer = self.ask(lines.logs(task.id, tail=TAIL))
        log = f"{answer.stdout}{answer.stderr}".strip()
        parts = [task.error or f"it is {task.state}"]
        parts += [f"health check: {checked}"] if checked else []
        parts += [f"its last lines:\n{log}"] if log else []
        return "\n".join(parts)

    def ask(self, line: Sequence[str]) -> CompletedProcess[str]:
        return process.capture(self.c, line, cwd=self.here.root, env=self._variables)

    def run(self, line: Sequence[str]) -> None:
        process.run(self.c, line, cwd=self.here.root, env=self._variables)
