"""Make the image that is shipped, with its names and the list of what is in it."""

from __future__ import annotations

import os
from pathlib import Path

from invoke import Context, task

from berth import engines, process
from berth.arguments import Task
from berth.errors import Refused
from berth.project import Project


def _lock(c: Context, here: Project, image: str, output: Path) -> Path:
    """Return the lock of an image: Berth's, or that of what is installed, where the project was adopted with its own.

    :param output: beside which the latter is written.
    """
    from berth.compose import sbom
    from berth.engines.docker import lines
    from berth.init import writing

    if writing.recall(here.root) == (None, ""):
        return here.requirements / "prod.txt"
    installed = output.with_name(output.name.replace(".cdx.json", ".txt"))
    if c.config.run.dry:
        return installed
    answer = process.capture(c, lines.run_alone(image, sbom.installed()), cwd=here.root)
    if answer.returncode != 0:
        raise Refused(f"the packages of {image} cannot be listed: {answer.stderr.strip()}")
    installed.write_text(answer.stdout, encoding="utf-8")
    return installed


@task(
    klass=Task,
    help={
        "version": "A second tag, such as 1.4.0; without it the git tag of the commit, if it has one.",
        "dirty": "Release what is not committed, too.",
        "push": "Push the image to the registry that REGISTRY names.",
    },
    auto_shortflags=False,
)
def release(c: Context, version: str | None = None, dirty: bool = False, push: bool = False) -> None:
    """Build the image that is shipped, named after its commit, with its labels and the list of its packages."""
    from berth import env  # not at every start of `inv`
    from berth.compose import release as image
    from berth.compose import sbom
    from berth.engines.docker import lines

    docker = engines.docker_engine(c)
    here = docker.here
    registry = os.environ.get("REGISTRY") or env.read(here.env_file, {}).values.get("REGISTRY", "")
    if push and not registry:
        raise Refused(
            "there is no registry to push to: set REGISTRY in .env, such as `REGISTRY=registry.example.com/shop`"
        )
    asked = (image.revision, image.changes, image.commit_time, image.version, image.source)
    facts = image.Facts(*(process.capture(c, line(), cwd=here.root, missing=True).stdout for line in asked))
    made = image.release(facts, version=version, dirty=dirty, command=here.command())
    engine = docker.under(made.variables())
    service = engine.stack().with_role("app")
    built = str(engine.stack().definition(service)["image"])
    repository = built.rpartition(":")[0]
    engine.build([service])
    names = made.images(repository, "")
    pushed = made.images(repository, registry) if push else []
    for other in [*names, *pushed]:
        process.run(c, lines.tag(built, other), cwd=here.root)
    file = here.state / sbom.FOLDER / sbom.file_name(repository, made.name)
    if not c.config.run.dry:
        file.parent.mkdir(parents=True, exist_ok=True)
    process.run(c, sbom.line(_lock(c, here, built, file), file), cwd=here.root)
    for other in pushed:
        process.run(c, lines.push(other), cwd=here.root)
    if not c.config.run.dry:
        print("\n".join([*names, *pushed, str(file.relative_to(here.root))]))
