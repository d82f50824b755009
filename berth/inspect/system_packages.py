"""Find the system packages that a project's own files install."""

from __future__ import annotations

import re

from berth.inspect import dockerfile, samples, shell
from berth.inspect.model import Alternative, Certainty, Fact, Place
from berth.inspect.tree import Tree, is_test, line_of

NOISE = frozenset({
    "sudo", "curl", "wget", "ca-certificates", "gnupg", "gnupg2", "apt-transport-https", "lsb-release",
    "software-properties-common", "vim", "nano", "less", "htop", "screen", "procps", "build-essential", "gcc",
    "g++", "make", "locales", "zsh", "bash",
})  # fmt: skip


def find(tree: Tree) -> list[Fact]:
    """Return the fact `system_packages`: those of the project's Dockerfile, else of an Aptfile, else of CI; the rest is
    listed as alternatives."""
    found: list[tuple[list[str], Place]] = []
    for file, instructions in dockerfile.by_file(tree).items():
        if is_test(file) or dockerfile.SIDE.search(file):
            continue
        names: list[str] = []
        first: Place | None = None
        for each in instructions:
            if each.word == "RUN":
                installed = [name for name, _ in shell.packages(shell.unbroken(each.value))]
                first = first or (each.place if installed else None)
                names += installed
        if names and first:
            found.append((_distinct(names), first))
    for file in tree.named("Aptfile", "apt.txt", "packages.txt"):
        lines = [line.split("#")[0].strip() for line in tree.text(file).splitlines()]
        named = [line for line in lines if re.match(r"[a-z0-9][a-z0-9.+-]+$", line)]
        if named:
            found.append((_distinct(named), Place(file, 1)))
    for file in [*samples.ci_files(tree), *tree.below("scripts", "*.sh"), *tree.below("bin", "*.sh")]:
        text = tree.text(file)
        of_script = list(shell.packages(text))
        if of_script:
            names = _distinct([name for name, _ in of_script])
            found.append((names, Place(file, line_of(text, of_script[0][1]))))
    if not found:
        return []
    names, place = found[0]
    certainty: Certainty = "certain" if place.file in dockerfile.files(tree) else "likely"
    others = tuple(Alternative(list(more), at) for more, at in found[1:6] if set(more) - NOISE - set(names))
    why = "" if certainty == "certain" else f"only {place.file} names them"
    return [Fact("system_packages", list(names), place, certainty, others, why)]


def _distinct(names: list[str]) -> list[str]:
    return sorted(dict.fromkeys(names))
