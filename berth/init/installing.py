"""Decide how the project's own packages get into its images."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from berth.errors import Refused
from berth.init.plan import Format, Install
from berth.init.reading import place, table, text, words
from berth.inspect import Facts

FORMATS: dict[str, Format] = {
    "uv": "uv", "poetry": "poetry", "pipenv": "pipenv", "requirements": "requirements", "pyproject": "pyproject",
}  # fmt: skip
WANTED = re.compile(
    r"^(prod(uction)?|deploy(ment)?|server|web(server)?|docker|psycopg\d?-?(binary)?|postgres(ql)?|pg)$"
)
"""Groups and extras that a running server needs, by their names in the field."""
NOT_SERVED = re.compile(r"dev|test|lint|docs?\b|ci\b|typing|mypy|mysql|aws|azure|heroku|lambda")
"""What else is in such a group is for another place."""
DEVELOPMENT = re.compile(r"(^|[/_.-])(dev|develop|development|local)([/_.-]|$)")
BESIDE = ("pyproject.toml", "README.md", "README.rst", "README.txt", "LICENSE", "setup.py", "setup.cfg")


def decide(facts: Facts, answers: Mapping[str, str], paths: Collection[str], ours: tuple[str, ...]) -> Install:
    """Return how the packages are installed.

    :param paths: of the project's files.
    :param ours: requirements that the project lacks, gunicorn apart.
    :raises Refused: nothing says which packages it needs.
    """
    fact = facts.get("requirements")
    value = _chosen(facts, answers)
    format = FORMATS.get(text(value.get("format")))
    if text(value.get("format")) == "pdm":
        lock = words(value.get("files"))[0]
        file = f"{lock.rpartition('/')[0]}/requirements.txt".lstrip("/")
        raise Refused(
            f"cannot, because {lock} is PDM's, whose locks are not read: type `pdm export --prod --output {file}` "
            f"beside it, and `berth init --answer requirements={file}`"
        )
    if format is None:
        raise Refused(
            f"cannot, because no file says which packages the project needs ({place(fact)}): write a requirements.txt "
            "beside its manage.py, or type `berth init --answer requirements=FILE`"
        )
    files = tuple(dict.fromkeys((*words(value.get("files")), *words(value.get("chain")))))
    folder = files[0].rpartition("/")[0] or "."
    if format in {"requirements"}:
        folder = _common([*files])
    groups, extras = (
        tuple(name for name in words(value.get(kind)) if name in wanted(value)) for kind in ("groups", "extras")
    )
    ours = ours if has(facts, value, "gunicorn") else ("gunicorn", *ours)
    return Install(
        format=format,
        folder=folder,
        files=(*files, *_more(format, files, paths)),
        groups=groups,
        extras=extras,
        hashed=bool(value.get("hashed")),
        installs_tree=bool(value.get("installs_tree")),
        dev_files=_development(facts, format, files),
        ours=ours,
    )


def wanted(value: Mapping[str, object]) -> frozenset[str]:
    """Return the groups and extras that are installed: those of a running server, by their names or by what they hold.

    :param value: of the fact `requirements`.
    """
    holding = {name for names in table(value.get("apart")).values() for name in words(names)}
    return frozenset(
        name
        for name in (*words(value.get("groups")), *words(value.get("extras")))
        if WANTED.match(name.lower()) or (name in holding and not NOT_SERVED.search(name.lower()))
    )


def has(facts: Facts, value: Mapping[str, object], package: str) -> bool:
    """Tell whether a package is among those that are installed, and not only in a group that is not.

    :param value: of the fact `requirements`.
    """
    if facts.get(f"package.{package}") is None:
        return False
    apart = words(table(value.get("apart")).get(package))
    return not apart or not wanted(value).isdisjoint(apart)


def _chosen(facts: Facts, answers: Mapping[str, str]) -> Mapping[str, object]:
    """Return the description of the requirements that the answers name, or of the most probable ones."""
    fact = facts.get("requirements")
    if fact is None:
        return {}
    if not (wanted := answers.get("requirements")):
        return table(fact.value)
    all_ = [table(fact.value), *(table(each.value) for each in fact.alternatives)]
    if found := next((each for each in all_ if wanted in words(each.get("files"))[:1]), None):
        return found
    listed = ", ".join(files[0] for each in all_ if (files := words(each.get("files"))))
    raise Refused(f"requirements={wanted} is no answer: write one of {listed}")


def _more(format: Format, files: tuple[str, ...], paths: Collection[str]) -> tuple[str, ...]:
    """Return what else the tool reads: pyproject.toml beside a lock, and what pyproject.toml names."""
    if format == "requirements":
        return ()
    folder = files[0].rpartition("/")[0]
    beside = [f"{folder}/{name}" if folder else name for name in BESIDE]
    return tuple(each for each in beside if each in paths and each not in files)


def _development(facts: Facts, format: Format, files: tuple[str, ...]) -> tuple[str, ...]:
    """Return the requirements file of development that goes with one of production."""
    fact = facts.get("requirements")
    if format != "requirements" or fact is None or DEVELOPMENT.search(files[0]):
        return ()
    for rival in fact.alternatives:
        value = table(rival.value)
        name = (words(value.get("files")) or ("",))[0]
        if text(value.get("format")) == "requirements" and DEVELOPMENT.search(name):
            return tuple(dict.fromkeys((name, *words(value.get("chain")))))
    return ()


def _common(files: list[str]) -> str:
    folders = [each.split("/")[:-1] for each in files]
    shared: list[str] = []
    for names in zip(*folders, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return "/".join(shared) or "."
