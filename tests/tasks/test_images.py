"""Base images: only missing ones are built, those that others build on first."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest
from dry_project import ROOT, invoke, make_env


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder with a copy of the package, to be changed."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "berth", tmp_path / "library" / "berth", ignore=ignore)
    return tmp_path / "library"


def write_recipe(library: Path, name: str, text: str) -> Path:
    file = library / "berth" / "base_images" / "recipes" / name / "recipe.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_missing_images_are_built_in_their_order(engine: None, bare: Path, library: Path) -> None:
    shutil.rmtree(library / "berth" / "base_images" / "recipes")
    tag = f"local/dry-{uuid.uuid4().hex[:8]}"
    write_recipe(library, "a", f"VARIABLE=BROKER_IMAGE\nTAG={tag}:1\nBASE=b\n")
    write_recipe(library, "b", f"VARIABLE=PYTHON_IMAGE\nTAG={tag}/python:3.13\nSUITES=trixie\nPACKAGES=python3\n")
    make_env(bare)
    before = (bare / ".env").read_text()

    build = library / "berth" / "base_images" / "build"
    made = invoke(bare, "--dry", "images.base", PYTHONPATH=str(library))
    assert made == (0, "", f"+ {build} b\n+ {build} a\n")
    assert (bare / ".env").read_text() == before


def test_faulty_recipe_is_reported(engine: None, bare: Path, library: Path) -> None:
    file = write_recipe(library, "python", "TAG='x\n")
    make_env(bare)
    made = invoke(bare, "images.base", PYTHONPATH=str(library))
    assert made == (1, "", f"{file}: No closing quotation\n")
