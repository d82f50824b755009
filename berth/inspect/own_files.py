"""List what a project already has for containers: Dockerfiles, compose files, env files."""

from __future__ import annotations

from collections.abc import Sequence

from berth.inspect import compose_file, dockerfile
from berth.inspect.compose_file import Service
from berth.inspect.model import Fact, Place
from berth.inspect.tree import Tree


def find(tree: Tree, services: Sequence[Service], env_files: Sequence[str]) -> list[Fact]:
    """Return a fact for each Dockerfile, compose service, env file and ignore file that is already there."""
    facts = []
    for file, instructions in dockerfile.by_file(tree).items():
        images = [image for image, _ in dockerfile.images(instructions)]
        facts.append(Fact("dockerfile", {"file": file, "images": list(images)}, Place(file)))
    for file in compose_file.files(tree):
        names = [service.name for service in services if service.place.file == file]
        facts.append(Fact("compose_file", {"file": file, "services": list(names)}, Place(file)))
    for service in services:
        if service.image and not service.builds:
            facts.append(Fact("service_image", {"service": service.name, "image": service.image}, service.place))
    for file in env_files:
        is_used = file.rpartition("/")[2] in {".env", ".env.local", ".env.production", ".env.dev"}
        why = "Compose reads a file of that name by itself" if file == ".env" else ""
        facts.append(Fact("env_file", {"file": file, "in_use": is_used}, Place(file), "certain", (), why))
    for file in (".dockerignore", "docker", "inv", "tasks.py", "noxfile.py", "reports", ".gitignore"):
        if file in tree or any(each.startswith(f"{file}/") for each in tree.files):
            facts.append(
                Fact("name_taken", file, Place(file), "certain", (), "Berth has a file or folder of that name")
            )
    return facts
