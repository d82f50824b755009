"""Find where a project gives its environment variables a value: env files, compose files, CI, Dockerfiles."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from berth.inspect import compose_file, dockerfile
from berth.inspect.model import Place
from berth.inspect.tree import Tree, is_test, line_of

ENV_FILES = (
    ".env", ".env.*", ".env-*", ".env_*", "*.env", "env.example", "env.sample", "*.env.*", "env.template",
)  # fmt: skip
LINE = re.compile(r"^[ \t]*(?P<comment>#?)[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_]\w*)=(?P<value>[^\n]*)$", re.M)
CI_LINE = re.compile(r"^[ \t]+(?:- )?(?P<name>[A-Z][A-Z0-9_]+):[ \t]*(?P<value>[^\n{}]*)$", re.M)
SECRET = re.compile(r"SECRET|PASSW|_PASS$|_PWD$|TOKEN|_KEY$|^KEY|CREDENTIAL|PRIVATE|SALT|DSN|WEBHOOK")
WITHHELD = "(withheld)"


@dataclass(frozen=True)
class Sample:
    """A value that a file gives a variable.

    :param value: "" for one that is named without a value.
    :param kind: the sort of file: env, compose, dockerfile, ci.
    """

    name: str
    value: str
    place: Place
    kind: str


def env_files(tree: Tree) -> list[str]:
    """Return the env files, those that are examples before those that are in use."""
    found = [file for file in tree.named(*ENV_FILES) if not file.endswith((".py", ".sh", ".js", ".ts", ".j2", ".html"))]
    return sorted(found, key=lambda file: (is_test(file), _is_real(file), "test" in file, file.count("/"), file))


def _is_real(file: str) -> bool:
    name = file.rpartition("/")[2]
    return not re.search(r"example|sample|template|dist|dev|local|docker|demo", name)


def in_env_file(text: str, file: str) -> Iterator[Sample]:
    """Give the assignments of an env file, the ones in comments, too: they show what may be set."""
    for match in LINE.finditer(text):
        value = match["value"].strip()
        quoted = re.match(r"(['\"])(.*?)\1", value)
        value = quoted[2] if quoted else re.sub(r"(^|\s+)#.*", "", value)
        yield Sample(match["name"], value, Place(file, line_of(text, match.start("name"))), "env")


def ci_files(tree: Tree) -> list[str]:
    """Return the files of continuous integration."""
    folders = (".github/workflows/", ".github/actions/", ".circleci/", ".gitlab/", ".buildkite/")
    names = {".gitlab-ci.yml", ".travis.yml", "bitbucket-pipelines.yml", "azure-pipelines.yml", ".drone.yml", "tox.ini"}
    return [
        file
        for file in tree.files
        if (file.startswith(folders) and file.endswith((".yml", ".yaml"))) or file.rpartition("/")[2] in names
    ]


class Samples:
    """All values that the files of a project give to variables."""

    def __init__(self, tree: Tree, services: Iterable[compose_file.Service]) -> None:
        self.env_files = env_files(tree)
        found: list[Sample] = []
        for file in self.env_files:
            found += in_env_file(tree.text(file), file)
        for service in services:
            found += [
                Sample(name, value or "", place, "compose") for name, (value, place) in service.environment.items()
            ]
        for file, instructions in dockerfile.by_file(tree).items():
            for each in instructions:
                if each.word == "ENV":
                    pairs = dockerfile.assignments(each.value)
                    found += [Sample(name, value, Place(file, each.place.line), "dockerfile") for name, value in pairs]
        for file in ci_files(tree):
            text = tree.text(file)
            for match in CI_LINE.finditer(text):
                value = match["value"].strip().strip("'\"")
                found.append(Sample(match["name"], value, Place(file, line_of(text, match.start("name"))), "ci"))
        found += _app_json(tree)
        self._by_name: dict[str, list[Sample]] = {}
        for sample in found:
            self._by_name.setdefault(sample.name, []).append(sample)

    def of(self, name: str) -> list[Sample]:
        """Return the samples of a variable, those with a value first."""
        return sorted(self._by_name.get(name, []), key=lambda sample: not sample.value)

    def best(self, name: str) -> Sample | None:
        """Return the sample that helps most, or None."""
        return next(iter(self.of(name)), None)


def _app_json(tree: Tree) -> list[Sample]:
    found = []
    for file in tree.beside("", "app.json"):
        try:
            variables = json.loads(tree.text(file)).get("env", {})
        except (ValueError, AttributeError) as error:
            tree.problems[Place(file)] = f"is no JSON that can be parsed: {error}"
            continue
        for name, entry in variables.items() if isinstance(variables, dict) else ():
            value = entry.get("value", "") if isinstance(entry, dict) else entry
            found.append(Sample(name, str(value), Place(file), "env"))
    return found


def shown(name: str, value: object) -> object:
    """Return a value as a fact may show it: that of a secret is withheld."""
    return WITHHELD if value not in (None, "") and SECRET.search(name.upper()) else value
