"""The launcher `./inv`: a virtualenv that is made once, kept in step with its lock, and never in anybody's way."""

from __future__ import annotations

import ensurepip
import hashlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from containers.checkout import checkout

INV = Path(__file__).parents[1] / "inv"
SECONDS = 120
INSTALLING = "./inv: installing locks/berth.txt into .berth/venv\n"
WAITING = "./inv: another ./inv is installing; waiting for it\n"
# All that the launcher calls besides Python.
PROGRAMS = ["cmp", "cp", "mkdir", "rm"]
# What stands in for Berth: it says which version of it runs, and where.
PROGRAM = """
import os, sys, time
print({version!r}, os.getcwd(), *sys.argv[1:], sep="|", flush=True)
time.sleep(60 * (sys.argv[1:] == ["stay"]))
"""


class Project:
    """A project whose lock asks for a small package that stands in for Berth and prints what it is told."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a project"
        self.wheels = folder / "wheels"
        self.bin = folder / "bin"
        for made in (self.root / "locks", self.wheels, self.bin):
            made.mkdir(parents=True)
        *lines, last = INV.read_text().splitlines()
        assert last.startswith('exec "$venv/bin/python" ') and last.endswith(' "$@"')
        (self.root / "inv").write_text("\n".join([*lines, 'exec "$venv/bin/python" -m standin "$@"\n']))
        (self.root / "inv").chmod(0o755)
        for program in PROGRAMS:
            self.provide(program)
        (self.bin / "python3").symlink_to(sys.executable)
        self.variables = {"PIP_NO_INDEX": "1"}
        self.lock("1")

    def provide(self, program: str) -> None:
        """Put a program on PATH; it finds its own helpers on ours."""
        found = shutil.which(program, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        assert found, f"{program} is not installed"
        self.script(program, f'PATH={shlex.quote(os.environ["PATH"])} exec {shlex.quote(found)} "$@"')

    def script(self, name: str, code: str) -> None:
        """Put a shell script on PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{code}\n")
        path.chmod(0o755)

    def python(self, first: str, name: str = "python3") -> None:
        """Put a Python on PATH that runs the shell code ``first`` before it starts, and says that it is no link."""
        itself = 'case "$*" in *"print(os.path.realpath(sys.executable))"*) printf "%s\\n" "$0"; exit;; esac'
        self.script(name, f'{first}\n{itself}\nexec "{sys.executable}" "$@"')

    def lock(self, version: str) -> Path:
        """Make the lock ask for this version; return its wheel."""
        wheel = self.wheel("standin", version, {"standin.py": PROGRAM.format(version=version)})
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (self.root / "locks" / "berth.txt").write_text(f"standin=={version} --hash=sha256:{digest}\n")
        return wheel

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
    def venv(self) -> Path:
        return self.root / ".berth" / "venv"

    def environment(self) -> dict[str, str]:
        return {
            "PATH": str(self.bin),
            "HOME": str(self.root),
            "PIP_FIND_LINKS": self.wheels.as_uri(),
            "PIP_CONFIG_FILE": os.devnull,
            "UV_OFFLINE": "1",
            "UV_NO_CONFIG": "1",
            "UV_FIND_LINKS": str(self.wheels),
            "UV_CACHE_DIR": str(self.root.parent / "uv"),
            **self.variables,
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
        return "|".join([version, str(cwd or self.root), *words]) + "\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def within(seconds: float, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- Installing --------------------------------------------------------------


def test_virtualenv_is_made_once_and_again_for_another_lock(project: Project) -> None:
    assert project.run("up", "a b", "", "--", "$x") == (0, project.says("up", "a b", "", "--", "$x"), INSTALLING)
    assert project.run("up") == (0, project.says("up"), "")

    project.lock("2")
    assert project.run("up") == (0, project.says("up", version="2"), INSTALLING)
    assert project.run("up") == (0, project.says("up", version="2"), "")
    assert sorted(path.name for path in project.root.iterdir()) == [".berth", "inv", "locks"]


def test_launcher_works_from_another_folder(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    expected = project.says("ps", cwd=elsewhere)
    assert project.run("ps", launcher="../a project/inv", cwd=elsewhere) == (0, expected, INSTALLING)
    assert project.run("ps", launcher=str(project.root / "inv"), cwd=elsewhere) == (0, expected, "")


def test_requirements_that_cannot_be_installed_are_reported_and_tried_again(project: Project) -> None:
    lock = project.root / "locks" / "berth.txt"
    good = lock.read_text()
    lock.write_text(good[:-2] + "0" * (good[-2] != "0") + "1" * (good[-2] == "0") + "\n")
    code, output, errors = project.run("up")
    message = "./inv: the requirements could not be installed; see the message above, then repeat the command\n"
    assert (code, output) == (1, "")
    assert errors.startswith(INSTALLING) and errors.endswith(message)
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in errors

    lock.write_text(good)
    assert project.run("up") == (0, project.says("up"), INSTALLING)


def test_update_that_cannot_be_had_leaves_what_there_was_working(project: Project) -> None:
    project.run("up")
    wheel = project.lock("2")
    away = wheel.rename(project.root / wheel.name)
    code, output, errors = project.run("up")
    assert (code, output) == (0, project.says("up"))
    assert errors.endswith(
        "./inv: the requirements could not be installed; see the message above. Going on with those from before\n"
    )

    away.rename(wheel)
    assert project.run("up") == (0, project.says("up", version="2"), INSTALLING)


# --- Pythons -----------------------------------------------------------------


def test_old_python_is_passed_over_for_a_newer_one(project: Project) -> None:
    project.script("python3", "echo /usr/bin/python3.9; exit 1")
    (project.bin / "python3.12").symlink_to(sys.executable)
    assert project.run("up") == (0, project.says("up"), INSTALLING)


def test_missing_python_is_the_only_thing_reported(project: Project) -> None:
    project.script("python3", "exit 1")
    message = (
        "./inv: no Python 3.10 or newer on PATH: install one, such as with `apt install python3` "
        "or `brew install python`\n"
    )
    assert project.run("up") == (1, "", message)


def test_another_python_behind_the_same_name_changes_nothing(project: Project) -> None:
    project.run("up")
    project.script("python3", "echo 'this is a newer one' >&2; exit 1")
    assert project.run("up") == (0, project.says("up"), "")


def test_virtualenv_whose_python_is_gone_is_made_anew(project: Project) -> None:
    project.run("up")
    for link in (project.venv / "bin").glob("python*"):
        link.unlink()
        link.symlink_to("/nonexistent/python3.10")
    assert project.run("up") == (0, project.says("up"), INSTALLING)
    assert project.run("up") == (0, project.says("up"), "")


NO_ENSUREPIP = 'case "$*" in "-c import ensurepip") exit 1;; esac'
NO_VIRTUALENV = 'case "$*" in "-m virtualenv"*) exit 1;; esac'


def test_missing_ensurepip_is_reported(project: Project) -> None:
    project.python(f"{NO_ENSUREPIP}\n{NO_VIRTUALENV}")
    message = (
        "./inv: python3 cannot make a virtualenv, as its module ensurepip is missing: "
        "type `sudo apt install python3-venv`\n"
    )
    assert project.run("up") == (1, "", INSTALLING + message)


def test_virtualenv_does_without_ensurepip(project: Project) -> None:
    project.python(NO_ENSUREPIP)
    assert project.run("up") == (0, project.says("up"), INSTALLING)


def test_uv_does_without_ensurepip(project: Project) -> None:
    project.python(f"{NO_ENSUREPIP}\n{NO_VIRTUALENV}")
    project.provide("uv")
    # With these uv fills a virtualenv; the last two up to Python 3.11 only.
    for wheel in (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"):
        shutil.copy(wheel, project.wheels)
    project.wheel("setuptools", "1", {})
    project.wheel("wheel", "1", {})
    assert project.run("up") == (0, project.says("up"), INSTALLING)


# --- Several at once, and sudden ends ----------------------------------------


def test_two_at_once_install_once(project: Project) -> None:
    with project.start("first") as first, project.start("second") as second:
        said = [first.communicate(timeout=SECONDS), second.communicate(timeout=SECONDS)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert [output for output, _ in said] == [project.says("first"), project.says("second")]
    assert sorted(errors for _, errors in said) == sorted([INSTALLING, WAITING])


def test_a_command_that_goes_on_keeps_no_update_waiting(project: Project) -> None:
    with project.start("stay") as process:
        assert process.stdout and process.stdout.readline() == project.says("stay")
        project.lock("2")
        assert project.run("up") == (0, project.says("up", version="2"), INSTALLING)
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_installation_that_was_cut_off_is_done_again_without_waiting(project: Project, number: signal.Signals) -> None:
    project.python(f'case "$*" in "-m venv"*) mkdir -p "{project.venv}/bin"; sleep 60;; esac')
    project.provide("sleep")
    with project.start("up") as process:
        within(SECONDS, (project.venv / "bin").exists)
        # As a terminal does: to all of its processes.
        os.killpg(process.pid, number)
        assert process.communicate(timeout=SECONDS) == ("", INSTALLING)
    assert process.returncode == -number

    project.python("")
    assert project.run("up") == (0, project.says("up"), INSTALLING)


def test_installer_that_outlives_its_shell_is_waited_for(project: Project) -> None:
    project.python(f'case "$*" in "-m venv"*) touch "{project.root}/begun"; sleep 1;; esac')
    project.provide("sleep")
    project.provide("touch")
    with project.start("up") as process:
        within(SECONDS, (project.root / "begun").exists)
        process.kill()
        assert project.run("up") == (0, project.says("up"), WAITING + INSTALLING)


def test_update_that_was_cut_off_leaves_what_there_was_working(project: Project) -> None:
    project.run("up")
    project.lock("2").unlink()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(SECONDS)
        project.variables = {"PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/"}
        with project.start("up") as process:
            silent.accept()[0].close()
            os.killpg(process.pid, signal.SIGKILL)
    project.variables = {"PIP_NO_INDEX": "1"}
    code, output, errors = project.run("up")
    assert (code, output) == (0, project.says("up"))
    assert errors.startswith(INSTALLING)


# --- The lock of the repository ----------------------------------------------


def test_launcher_of_a_clone_needs_nothing_but_a_python() -> None:
    with checkout() as clone:
        (folder := clone.root.parent / "bin").mkdir()
        for program in (*PROGRAMS, "sh"):
            (folder / program).symlink_to(shutil.which(program) or program)
        (folder / "python3").symlink_to(Path(sys.executable).resolve())
        clone.environment["PATH"] = str(folder)
        first, second = (clone.run([str(clone.root / "inv"), "--list"]) for _ in range(2))
        assert (first.returncode, first.stderr) == (0, INSTALLING)
        assert (second.returncode, second.stderr, second.stdout) == (0, "", first.stdout)
        assert "reset-db" in first.stdout
