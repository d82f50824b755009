"""Put the parts together: read a project's files, and give all facts in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from berth.inspect import (
    broker,
    caches,
    compose_file,
    database,
    entry,
    examples,
    node,
    own_files,
    postgres,
    probes,
    procfile,
    python_version,
    queues,
    requirements,
    settings_choice,
    settings_facts,
    system_packages,
    variables,
    workers,
)
from berth.inspect.evaluation import Evaluator
from berth.inspect.model import Fact, Facts
from berth.inspect.python_source import Sources
from berth.inspect.samples import Samples
from berth.inspect.scope import Scope, Scopes
from berth.inspect.tree import Tree


def facts(root: Path, manage: str = "", ignored: Collection[str] = ()) -> Facts:
    """Return the facts of the project in a folder.

    :param root: the project's root; a monorepo's is fine.
    :param manage: the manage.py that is meant, where there are several.
    :param ignored: files that are not the project's own, such as those that Berth has written.
    :raises NotADirectoryError: it is no folder.
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder")
    tree = Tree(root, ignored)
    found = list(_Project(tree, manage).facts())
    problems = [
        Fact("problem", said, place) for place, said in sorted(tree.problems.items(), key=lambda each: str(each[0]))
    ]
    return Facts((*found, *problems))


class _Project:
    """What several parts need of one project."""

    def __init__(self, tree: Tree, manage: str = "") -> None:
        self.tree = tree
        self.sources = Sources(tree)
        self.entry = entry.find(self.sources, manage)
        self.scopes = Scopes(self.sources, self.entry.roots)
        self.services = [each for file in compose_file.files(tree) for each in compose_file.services(tree, file)]
        self.samples = Samples(tree, self.services)
        self.requirements = requirements.find(tree, self.entry.folder)
        self.development, self.production = settings_choice.choose(self.entry, self.scopes, self.samples)
        self.procfile = procfile.processes(tree)
        self.commands = [*self.procfile, *workers.from_services(self.services), *procfile.of_scripts(tree)]
        self.commands += procfile.daemons(tree)
        packages = self.requirements.packages
        self.celery = workers.find_celery(self.sources, self.entry.roots, packages, self.commands)

    @property
    def settings(self) -> list[Scope]:
        """The settings that are there, those for production first, each once."""
        found = [self.production.scope, self.development.scope]
        return list({scope.file: scope for scope in found if scope is not None}.values())

    def facts(self) -> Iterator[Fact]:
        chosen = {"settings.development": self.development.fact, "settings.production": self.production.fact}
        for fact in self.entry.facts:
            yield chosen.get(fact.name, fact)
        yield from settings_facts.missing_facts(self.scopes, self.settings)
        yield from examples.find(self.sources, self.entry.roots, self.settings, self.development)
        yield from self.requirements.facts
        yield from python_version.find(self.tree, self.entry.folder, self.requirements)
        yield from settings_facts.package_facts(self.requirements.packages)
        yield from self._of_settings()
        yield from self._work()
        yield from caches.server_facts(self.requirements.packages, self.commands)
        yield from postgres.version_facts(self.sources, self.services)
        yield from postgres.extension_facts(self.sources, self.requirements.packages, self.settings)
        yield from node.find(self.tree, self.entry.folder)
        yield from system_packages.find(self.tree)
        yield from probes.find(self.sources, self.entry.folder, self.services)
        yield from procfile.facts(self.procfile)
        yield from own_files.find(self.tree, self.services, self.samples.env_files)
        yield from variables.find(self.scopes, self.settings, self._more_files(), self.samples)

    def _of_settings(self) -> Iterator[Fact]:
        packages = self.requirements.packages
        for number, scope in enumerate(self.settings):
            evaluator = Evaluator(self.scopes, scope)
            name = "database.development" if number else "database"
            found = database.find(name, scope, evaluator, self.samples, packages)
            if number == 0:
                yield from found
                yield from caches.find(scope, evaluator, self.samples)
                yield from settings_facts.find(scope, evaluator)
            elif (
                found[0].value
                != database.find(
                    "database", self.settings[0], Evaluator(self.scopes, self.settings[0]), self.samples, packages
                )[0].value
            ):
                yield from found
        yield from settings_facts.whitenoise_facts(self.scopes, self.settings, packages)

    def _work(self) -> Iterator[Fact]:
        packages = self.requirements.packages
        settings = next(iter(self.settings), None)
        apps = self.celery
        celery = workers.celery_facts(apps, packages, self.sources, self.commands)
        yield from celery
        if apps and celery[0].value:
            yield from broker.find(apps[0], self.scopes, settings, self.samples, self.services, packages)
        yield from queues.find(self.sources, packages, settings, self.commands)

    def _more_files(self) -> list[str]:
        files = [fact.origin.file for fact in self.entry.facts if fact.name in {"wsgi", "asgi"} and fact.value]
        files += [app.file for app in self.celery[:1]]
        return [*files, *([self.entry.manage] if self.entry.manage else [])]
