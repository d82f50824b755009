"""Base images: only missing ones are built, those that others build on first."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from dry_project import invoke, make_env


def recipe(folder: Path, name: str, text: str) -> None:
    (folder / "docker" / "base-images" / name).mkdir(parents=True)
    (folder / "docker" / "base-images" / name / "recipe.conf").write_text(text)


def test_missing_images_are_built_in_their_order(engine: None, bare: Path) -> None:
    shutil.rmtree(bare / "docker" / "base-images")
    tag = f"local/dry-{uuid.uuid4().hex[:8]}"
    recipe(bare, "a", f"VARIABLE=BROKER_IMAGE\nTAG={tag}:1\nBASE=b\n")
    recipe(bare, "b", f"VARIABLE=PYTHON_IMAGE\nTAG={tag}:2\nSUITES=trixie\nPACKAGES=python3\n")
    make_env(bare)
    before = (bare / ".env").read_text()

    build = bare / "docker" / "base-images" / "build"
    assert invoke(bare, "--dry", "images.base") == (0, "", f"+ {build} b\n+ {build} a\n")
    assert (bare / ".env").read_text() == before


def test_faulty_recipe_is_reported(engine: None, bare: Path) -> None:
    (bare / "docker" / "base-images" / "python" / "recipe.conf").write_text("TAG='x\n")
    make_env(bare)
    code, output, errors = invoke(bare, "images.base")
    assert (code, output) == (1, "")
    assert "docker/base-images/python/recipe.conf" in errors
    assert "Traceback" not in errors
