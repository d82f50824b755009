"""Read the services of a project's own compose files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from berth.inspect import yaml_file
from berth.inspect.model import Place
from berth.inspect.tree import Tree, is_test

PATTERNS = ("compose*.y*ml", "docker-compose*.y*ml", "*-compose.y*ml", "*compose.dev.y*ml")


@dataclass(frozen=True)
class Service:
    """A service.

    :param image: its image, the defaults of variables filled in; "" for one that is built.
    :param commands: command, entrypoint and the test of its health check, each as one text.
    :param environment: its variables, with the place of each; None for one that is passed on.
    """

    name: str
    place: Place
    image: str = ""
    commands: tuple[tuple[str, Place], ...] = ()
    environment: dict[str, tuple[str | None, Place]] = field(default_factory=dict)
    env_files: tuple[str, ...] = ()
    builds: bool = False


def files(tree: Tree) -> list[str]:
    """Return the compose files, those for tests and of tools last."""
    found = [file for file in tree.named(*PATTERNS) if file.endswith((".yml", ".yaml"))]
    odd = re.compile(r"test|ci\b|cicd|devcontainer|worktree|keycloak|monitor|e2e|integration")
    return sorted(found, key=lambda file: (is_test(file), bool(odd.search(file)), file.count("/"), len(file), file))


def services(tree: Tree, file: str) -> list[Service]:
    """Return the services of a file; a file that is none of Compose has none."""
    content = yaml_file.load(tree, file)
    found = content.get("services")
    if not isinstance(found, yaml_file.Mapping):
        return []
    return [
        _service(file, name, found.lines[name], body)
        for name, body in found.items()
        if isinstance(body, yaml_file.Mapping)
    ]


def _service(file: str, name: str, line: int, body: yaml_file.Mapping) -> Service:
    health = body.get("healthcheck")
    parts = [(body, "command"), (body, "entrypoint")]
    if isinstance(health, yaml_file.Mapping):
        parts.append((health, "test"))
    commands = tuple((filled(_joined(home[key])), Place(file, home.lines[key])) for home, key in parts if home.get(key))
    env_files = body.get("env_file") or []
    return Service(
        name=name,
        place=Place(file, line),
        image=filled(str(body.get("image") or "")),
        commands=commands,
        environment=dict(_environment(file, body.get("environment"))),
        env_files=tuple(str(each) for each in (env_files if isinstance(env_files, list) else [env_files])),
        builds="build" in body,
    )


def _joined(value: Any) -> str:
    return " ".join(str(word) for word in value) if isinstance(value, list) else str(value)


def _environment(file: str, value: Any) -> Iterator[tuple[str, tuple[str | None, Place]]]:
    if isinstance(value, yaml_file.Mapping):
        for name, text in value.items():
            yield name, (filled(str(text)), Place(file, value.lines[name]))
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, yaml_file.Text):
                name, equals, text = item.partition("=")
                yield name.strip(), (filled(text) if equals else None, Place(file, item.line))


def filled(text: str) -> str:
    """Return a text with the defaults of `${NAME:-default}` filled in; a name without one stays as it is."""
    return re.sub(r"\$\{\w+:?-([^}$]*)\}", r"\1", text)
