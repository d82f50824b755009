"""What the program that installs packages in a build does with those of Berth, on a virtualenv of its own."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

FILES = Path(__file__).parents[2] / "berth/init/files"


def wheel(folder: Path, name: str, version: str, needs: str = "") -> str:
    """Make a package without content, and return its hash."""
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    required = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the program, with a virtualenv and an index that hold a few packages of ours only."""
    monkeypatch.syspath_prepend(str(FILES))
    spec = importlib.util.spec_from_file_location("install_packages", FILES / "install_packages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    uv = Path(sys.executable).parent / "uv"
    packages = tmp_path / "wheels"
    packages.mkdir()
    # nox has it name the virtualenv of these tests, which uv would then install into.
    monkeypatch.delenv("UV_PYTHON", raising=False)
    monkeypatch.setenv("UV_FIND_LINKS", str(packages))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "UV", str(uv))
    monkeypatch.setattr(module, "VENV", tmp_path / "venv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True)
    return module


def test_what_is_added_gives_way_to_what_the_project_has_locked(
    installer: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheels = tmp_path / "wheels"
    wheel(wheels, "base", "1.0")
    wheel(wheels, "helper", "1.0", "base>=1")
    newest = wheel(wheels, "helper", "2.0", "base>=2")
    tool = wheel(wheels, "tool", "1.0", "helper")
    output = installer.run([installer.UV, "pip", "install", "base==1.0"])
    assert output.returncode == 0, output.stdout
    lock = tmp_path / "ours.txt"
    lock.write_text(
        f"helper==2.0 \\\n    --hash=sha256:{newest}\n    # via tool\n"
        f"tool==1.0 \\\n    --hash=sha256:{tool}\n    # via -r tool.in\n"
    )
    installer.ours(argparse.Namespace(file=str(lock)))
    assert installer.freeze() == ["base==1.0", "helper==1.0", "tool==1.0"]
    assert "resolved anew" in capsys.readouterr().err


def test_what_fits_in_no_version_ends_the_build_with_the_cause(installer: ModuleType, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheel(wheels, "base", "1.0")
    tool = wheel(wheels, "tool", "1.0", "base>=2")
    assert installer.run([installer.UV, "pip", "install", "base==1.0"]).returncode == 0
    lock = tmp_path / "ours.txt"
    lock.write_text(f"tool==1.0 \\\n    --hash=sha256:{tool}\n    # via -r tool.in\n")
    with pytest.raises(SystemExit) as ended:
        installer.ours(argparse.Namespace(file=str(lock)))
    assert "relock the project with one that fits, or take the package out of ours.txt" in str(ended.value)
    assert installer.freeze() == ["base==1.0"]


def test_requirements_that_powershell_has_written_are_read(installer: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_bytes("django==5.2\r\n".encode("utf-16"))
    installer.without_index(file, tmp_path / "into")
    assert (tmp_path / "into" / str(file).strip("/")).read_text() == "django==5.2\n"


def test_a_repository_that_cannot_be_fetched_is_no_build_that_failed(installer: ModuleType) -> None:
    output = (
        "  x Failed to download and build `push @ git+https://git.example/a/push.git@22fd`\n"
        "  |-> Git operation failed\n  `-> failed to clone into: /root/.cache/uv/git-v0/db/1\n"
    )
    assert installer.not_fetched(output) == "https://git.example/a/push.git"
    with pytest.raises(SystemExit) as ended:
        installer.explain(output, "")
    assert "https://git.example/a/push.git cannot be fetched: builds need a way there" in str(ended.value)


@pytest.mark.parametrize(
    ("imported", "found"),
    [
        ("from pkg_resources import get_distribution\n", True),
        ("try:\n    import pkg_resources\nexcept E:\n    pass\n", False),
    ],
)
def test_setuptools_are_added_for_a_package_that_cannot_be_imported_without(
    imported: str, found: bool, installer: ModuleType, tmp_path: Path
) -> None:
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "old").mkdir()
    (site / "old/__init__.py").write_text(imported)
    assert installer.without_setuptools() == ("old/__init__.py" if found else "")
    (site / "pkg_resources").mkdir()
    assert installer.without_setuptools() == ""


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ('[tool.poetry.dependencies]\npython = "^3.12"\n', []),
        ('[tool.poetry.dev-dependencies]\npytest = "*"\n\n[tool.poetry.group.dev.dependencies]\nmypy = "*"\n', ["dev"]),
        (
            '[tool.poetry.group.test.dependencies]\npytest = {version = "*", extras = ["a"]}\n'
            '[tool.poetry.group.docs]\noptional = true\n[tool.poetry.group.docs.dependencies]\nmkdocs = "*"\n',
            ["test"],
        ),
        ('[dependency-groups]\ndev = [\n    "pytest",\n]\nlint = ["ruff"]\n\n[tool.ruff]\nselect = ["B"]\n', ["dev", "lint"]),
    ],
)  # fmt: skip
def test_development_has_the_groups_that_poetry_installs_by_itself(
    text: str, groups: list[str], installer: ModuleType
) -> None:
    assert installer.poetry_groups(text) == groups


def test_git_is_brought_in_for_what_a_nested_file_names(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that the build is given names another one only, so that git is seen to be missing by uv."""
    (tmp_path / "base.txt").write_text("shop @ git+https://index.invalid/shop.git@main\n")
    (tmp_path / "requirements.txt").write_text("-r base.txt\n")
    added: list[str] = []
    monkeypatch.setattr(installer.system_packages, "add", added.extend)
    monkeypatch.setattr(installer.system_packages, "installed", set)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit):
        installer.install([installer.UV, "pip", "install", f"--requirement={tmp_path}/requirements.txt"], [])
    assert added[:2] == ["git", "ca-certificates"]
