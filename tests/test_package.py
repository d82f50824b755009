"""What `pip install berth` brings: the package, the same files as in the tree, and nothing that is the project's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers.checkout import ROOT, checkout
from installed import Installed, build, install

from berth import template

# How a file of the template, by its path in a project, is found in the tree.
OWN = {"noxfile.py": ROOT / "berth" / "template" / "noxfile.py"}
LIST = "from berth import template; print(*(f'{path} {source}' for path, source in template.files()), sep='\\n')"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    return install(wheel, tmp_path_factory.mktemp("installed") / "venv")


def tracked(*patterns: str) -> set[str]:
    """Return the files below the root that git knows, or would add."""
    line = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.check_output(line, cwd=ROOT, text=True).split("\0")
    return {name for name in listed if name and (ROOT / name).exists()}


def is_executable(path: Path) -> bool:
    return os.access(path, os.X_OK)


def test_template_of_the_tree_is_what_git_knows_of_it() -> None:
    found = {str(path): source for path, source in template.files()}
    copied = tracked("docker", "tasks.py", ".env.template", ".dockerignore", "requirements/build.*")
    assert found == {name: ROOT / name for name in copied} | OWN


def test_template_of_the_wheel_is_that_of_the_tree_byte_by_byte(installed: Installed) -> None:
    made = subprocess.run([installed.python, "-c", LIST], cwd="/", capture_output=True, text=True, check=True)
    found = {name: Path(source) for name, source in map(str.split, made.stdout.splitlines())}
    expected = {str(path): source for path, source in template.files()}
    assert found.keys() == expected.keys()
    assert all(path.is_relative_to(installed.venv) for path in found.values())
    for name, source in expected.items():
        assert found[name].read_bytes() == source.read_bytes(), name
        assert is_executable(found[name]) == is_executable(source), name


def test_package_of_the_wheel_is_that_of_the_tree_byte_by_byte(wheel: Path, installed: Installed) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("berth/")}
    inside = {name for name in names if not name.startswith("berth/template/")}
    sources = {name: ROOT / name for name in tracked("berth") - tracked("berth/template")}
    sources["berth/CHANGELOG.md"] = ROOT / "CHANGELOG.md"
    assert inside == sources.keys()
    for name, source in sources.items():
        path = installed.library / name
        assert path.read_bytes() == source.read_bytes(), name
        assert is_executable(path) == is_executable(source), name


def test_nothing_else_is_installed_beside_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
    assert top == {"berth", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}


def test_package_needs_no_file_of_the_project_to_be_used(installed: Installed, tmp_path: Path) -> None:
    """Beside those that say what the project is."""
    for name in ("tasks.py", ".env.template"):
        shutil.copy(ROOT / name, tmp_path)
    for command in (["inv"], ["berth"]):
        line = [installed.venv / "bin" / command[0], "--list"]
        made = subprocess.run(line, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
        assert (made.returncode, made.stderr) == (0, "")
        assert "reset-db" in made.stdout


def test_noxfile_of_a_project_has_the_sessions_of_its_locks(installed: Installed, tmp_path: Path) -> None:
    shutil.copy(OWN["noxfile.py"], tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev-next.txt").touch()
    line = [installed.venv / "bin" / "nox", "--list"]
    made = subprocess.run(line, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert [row.split(" -> ")[0] for row in made.stdout.splitlines() if " -> " in row] == [
        "* test-in-container(image='dev')",
        "* test-in-container(image='test')",
        "* test-in-container(image='dev-next')",
        "- migrations",
    ]


def test_our_own_nox_finds_the_package_of_the_checkout() -> None:
    """Without anything installed but what the launcher installs."""
    with checkout() as clone:
        clone.environment.pop("PYTHONPATH", None)
        nox = str(Path(sys.executable).with_name("nox"))
        made = clone.run([nox, "--list"])
        assert made.returncode == 0, made.stderr
        sessions = [row.split(" -> ")[0][2:] for row in made.stdout.splitlines() if " -> " in row]
        assert {
            "lint",
            "types",
            "test",
            "lock",
            "migrations",
            "test-django",
            "test-in-container(image='dev-django-6.1')",
        } <= {*sessions}
