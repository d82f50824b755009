"""The launcher `./inv`: a virtualenv that is made once, kept in step with its lock, and never half made."""

from __future__ import annotations

import ensurepip
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

INV = Path(__file__).parents[1] / "inv"
SECONDS = 120
INSTALLING = "./inv: installing requirements/berth.txt into .venv\n"
# All that the launcher calls besides Python.
PROGRAMS = ["dirname", "cmp", "mkdir", "rmdir", "cp", "sleep"]


class Project:
    """A project whose lock asks for a small package that stands in for Invoke and prints what it is told."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a project"
        self.wheels = folder / "wheels"
        self.bin = folder / "bin"
        for made in (self.root / "requirements", self.wheels, self.bin):
            made.mkdir(parents=True)
        shutil.copy(INV, self.root)
        (self.root / "berth").mkdir()
        shutil.copy(INV.parent / "berth" / "start.py", self.root / "berth")
        for program in PROGRAMS:
            self.provide(program)
        self.python("")
        self.lock("1")

    def provide(self, program: str) -> None:
        """Put a program on PATH; it finds its own helpers on ours."""
        found = shutil.which(program)
        assert found, f"{program} is not installed"
        script = self.bin / program
        script.write_text(f'#!/bin/sh\nPATH={shlex.quote(os.environ["PATH"])} exec {shlex.quote(found)} "$@"\n')
        script.chmod(0o755)

    def python(self, first: str, name: str = "python3") -> None:
        """Put a Python on PATH that runs the shell code ``first`` before it starts."""
        script = self.bin / name
        script.write_text(f'#!/bin/sh\n{first}\nexec "{sys.executable}" "$@"\n')
        script.chmod(0o755)

    def lock(self, version: str) -> None:
        """Make the lock ask for this version."""
        program = f"import os, sys\nprint({version!r}, os.getcwd(), *sys.argv[1:], sep='|')\n"
        wheel = self.wheel("invoke", version, {"invoke/__init__.py": "", "invoke/__main__.py": program})
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (self.root / "requirements" / "berth.txt").write_text(f"invoke=={version} --hash=sha256:{digest}\n")

    def wheel(self, package: str, version: str, contents: dict[str, str]) -> Path:
        wheel = self.wheels / f"{package}-{version}-py3-none-any.whl"
        info = f"{package}-{version}.dist-info"
        files = {
            **contents,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, text in {**files, f"{info}/RECORD": record}.items():
                archive.writestr(name, text)
        return wheel

    @property
    def updating(self) -> Path:
        return self.root / ".venv" / ".updating"

    def environment(self) -> dict[str, str]:
        return {
            "PATH": str(self.bin),
            "HOME": str(self.root),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels.as_uri(),
            "PIP_CONFIG_FILE": os.devnull,
            "UV_OFFLINE": "1",
            "UV_NO_CONFIG": "1",
            "UV_FIND_LINKS": str(self.wheels),
            "UV_CACHE_DIR": str(self.root.parent / "uv"),
        }

    def start(self, *words: str, launcher: str = "./inv", cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [launcher, *words],
            cwd=cwd or self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, launcher: str = "./inv", cwd: Path | None = None) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr of `./inv WORDS`."""
        with self.start(*words, launcher=launcher, cwd=cwd) as process:
            output, errors = process.communicate(timeout=SECONDS)
            return process.returncode, output, errors

    def says(self, *words: str, version: str = "1", cwd: Path | None = None) -> str:
        """Return what the stand-in prints for these words."""
        return "|".join([version, str(cwd or self.root), "--write-pyc", "--search-root", str(self.root), *words]) + "\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_virtualenv_is_made_once_and_again_for_another_lock(project: Project) -> None:
    assert project.run("up", "a b", "", "--", "$x") == (0, project.says("up", "a b", "", "--", "$x"), INSTALLING)
    assert project.run("up") == (0, project.says("up"), "")

    project.lock("2")
    assert project.run("up") == (0, project.says("up", version="2"), INSTALLING)
    assert project.run("up") == (0, project.says("up", version="2"), "")


def test_launcher_works_from_another_folder(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    expected = project.says("ps", cwd=elsewhere)
    assert project.run("ps", launcher="../a project/inv", cwd=elsewhere) == (0, expected, INSTALLING)
    assert project.run("ps", launcher=str(project.root / "inv"), cwd=elsewhere) == (0, expected, "")


def test_two_at_once_install_once(project: Project) -> None:
    with project.start("first") as first, project.start("second") as second:
        said = [first.communicate(timeout=SECONDS), second.communicate(timeout=SECONDS)]
    waiting = f"./inv: another ./inv updates .venv; waiting for it (if none does, type `rmdir {project.updating}`)\n"
    assert [first.returncode, second.returncode] == [0, 0]
    assert [output for output, _ in said] == [project.says("first"), project.says("second")]
    assert sorted(errors for _, errors in said) == sorted([INSTALLING, waiting])


def test_old_python_is_passed_over_for_a_newer_one(project: Project) -> None:
    project.python("exit 1")
    project.python("", name="python3.12")
    assert project.run("up") == (0, project.says("up"), INSTALLING)


def test_missing_python_is_the_only_thing_reported(project: Project) -> None:
    project.python("exit 1")
    message = (
        "./inv: no Python 3.10 or newer on PATH: install one, such as with `apt install python3` "
        "or `brew install python`\n"
    )
    assert project.run("up") == (1, "", INSTALLING + message)
    assert not project.updating.exists()


NO_ENSUREPIP = 'case "$*" in *ensurepip*) exit 1;; esac'


def test_missing_ensurepip_is_reported(project: Project) -> None:
    project.python(NO_ENSUREPIP + '\ncase "$*" in *virtualenv*) exit 1;; esac')
    message = (
        "./inv: python3 cannot make a virtualenv, as its module ensurepip is missing: "
        "type `sudo apt install python3-venv`\n"
    )
    assert project.run("up") == (1, "", INSTALLING + message)
    assert not project.updating.exists()


def test_virtualenv_does_without_ensurepip(project: Project) -> None:
    project.python(NO_ENSUREPIP)
    assert project.run("up") == (0, project.says("up"), INSTALLING)


def test_uv_does_without_ensurepip(project: Project) -> None:
    if not shutil.which("uv"):
        pytest.skip("uv is not installed")
    project.python(NO_ENSUREPIP + '\ncase "$*" in *virtualenv*) exit 1;; esac')
    project.provide("uv")
    # With these uv fills a virtualenv; the last two up to Python 3.11 only.
    for wheel in (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"):
        shutil.copy(wheel, project.wheels)
    project.wheel("setuptools", "1", {})
    project.wheel("wheel", "1", {})
    assert project.run("up") == (0, project.says("up"), INSTALLING)


def test_requirements_that_cannot_be_installed_are_reported_and_tried_again(project: Project) -> None:
    lock = project.root / "requirements" / "berth.txt"
    good = lock.read_text()
    lock.write_text(good[:-2] + "0" * (good[-2] != "0") + "1" * (good[-2] == "0") + "\n")
    code, output, errors = project.run("up")
    message = "./inv: the requirements could not be installed; see the message above, then repeat the command\n"
    assert (code, output) == (1, "")
    assert errors.startswith(INSTALLING) and errors.endswith(message)
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in errors
    assert not project.updating.exists()

    lock.write_text(good)
    assert project.run("up") == (0, project.says("up"), INSTALLING)


def test_interrupted_update_leaves_nothing_behind(project: Project) -> None:
    project.python('case "$*" in "-m venv"*) sleep 60;; esac')
    with project.start("up") as process:
        deadline = time.monotonic() + SECONDS
        while not project.updating.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # As Ctrl-C on a terminal: to all of its processes.
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=SECONDS) == ("", INSTALLING)
    assert process.returncode == 130
    assert not project.updating.exists()

    project.python("")
    assert project.run("up") == (0, project.says("up"), INSTALLING)
