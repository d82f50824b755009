"""The package as others get it: a wheel, in a virtual environment that knows nothing of this checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SECONDS = 300


class Installed(NamedTuple):
    """A virtual environment with the wheel."""

    venv: Path

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def library(self) -> Path:
        (found,) = self.venv.glob("lib/python3.*/site-packages")
        return found


def build(folder: Path, source: Path = ROOT) -> Path:
    """Build the wheel as a release is built, with the build backend of our lock; return its path.

    :param source: of which checkout.
    """
    options = ["--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(folder)]
    _run("uv", "build", *options, str(source))
    (found,) = folder.glob("berth-*.whl")
    return found


def install(wheel: Path, venv: Path, python: str = sys.executable) -> Installed:
    """Install the wheel, with the versions that are locked here.

    :param python: the Python to make the virtual environment with.
    """
    made = Installed(venv)
    _run("uv", "venv", "--quiet", "--python", python, str(venv))
    # Copies: whoever uses them need not be able to enter uv's cache.
    options = ["--quiet", "--link-mode=copy", "--python", str(made.python), "--constraint", "locks/berth.txt"]
    _run("uv", "pip", "install", *options, str(wheel))
    return made


def lock(folder: Path, **packages: str) -> None:
    """Write NAME.in and lock it, with the versions that are locked here, for each name."""
    ours = [f"--constraint={ROOT}/requirements/{name}.txt" for name in ("prod", "dev")]
    for name, lines in packages.items():
        (folder / f"{name}.in").write_text(lines)
        target = str(folder / f"{name}.txt")
        _run("uv", "pip", "compile", "--quiet", "--generate-hashes", *ours, str(folder / f"{name}.in"), "-o", target)


def put_template(project: Path, python: Path) -> None:
    """Put the files of the template into a project, taken from the package of ``python``."""
    code = "from berth import template\nfor path, source in template.files(): print(path, source, sep='\\t')"
    made = subprocess.run([python, "-c", code], cwd="/", capture_output=True, text=True, check=True)
    for row in made.stdout.splitlines():
        path, source = row.split("\t")
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, project / path)


def _run(program: str, *words: str) -> None:
    line = [str(Path(sys.executable).with_name(program)), *words]
    made = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert made.returncode == 0, made.stderr
