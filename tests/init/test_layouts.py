"""Every format of requirements and every layout comes out of `berth init` whole: no engine, all files."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest
from init import layouts, shapes
from init.test_image import sources
from test_compose_files import compose

from berth import env
from berth.init import flow
from berth.init.plan import CODE, Plan

LAYOUTS = layouts.layouts()


def adopted(root: Path, files: Mapping[str, str]) -> Plan:
    """Let init write into a project, and return what it has decided."""
    shapes.write(root, files)
    flow.run(root, {}, yes=True, show=None)
    return flow.plan_of(root)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("one file", {"format": "requirements", "files": ("requirements.txt",)}),
        ("with hashes", {"format": "requirements", "hashed": True}),
        ("a chain", {
            "format": "requirements", "folder": "requirements",
            "files": ("requirements/production.txt", "requirements/base.txt", "requirements/constraints.txt"),
            "dev_files": ("requirements/local.txt", "requirements/base.txt"),
        }),
        ("pyproject", {"format": "pyproject", "files": ("pyproject.toml",)}),
        ("uv", {"format": "uv", "files": ("uv.lock", "pyproject.toml"), "groups": ()}),
        ("uv with groups", {"format": "uv", "groups": ("prod",), "ours": ("psycopg[binary]",)}),
        ("poetry", {"format": "poetry", "files": ("poetry.lock", "pyproject.toml")}),
        ("pipenv", {"format": "pipenv", "files": ("Pipfile.lock", "Pipfile")}),
        ("pipenv without a lock", {"format": "pipenv", "files": ("Pipfile",)}),
    ],
)  # fmt: skip
def test_a_format_is_installed_from_its_own_files(tmp_path: Path, form: str, expected: dict[str, object]) -> None:
    made = adopted(tmp_path / "shop", shapes.project(more=layouts.FORMATS[form]))
    assert {name: getattr(made.install, name) for name in expected} == expected


def test_no_format_is_left_untried() -> None:
    tried = re.findall(r'^        \("([a-z ]+)", \{', Path(__file__).read_text(), re.M)
    assert {*layouts.FORMATS, *LAYOUTS} == {*tried}


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("at the root", {"django": ".", "manage": "manage.py"}),
        ("in a folder of a monorepo", {"django": "backend", "workdir": CODE / "backend"}),
        ("below src", {"django": "src", "workdir": CODE / "src"}),
        ("packages below src", {"django": ".", "import_paths": ("src",)}),
        ("a sandbox of a library", {"django": "sandbox", "import_paths": (".",), "workdir": CODE / "sandbox"}),
        ("settings in classes", {"configuration": "Dev", "base_settings": ""}),
    ],
)
def test_a_layout_runs_where_its_manage_py_is(tmp_path: Path, layout: str, expected: dict[str, object]) -> None:
    made = adopted(tmp_path / "shop", LAYOUTS[layout])
    assert {name: getattr(made, name) for name in expected} == expected
    assert made.database == "postgresql"


@pytest.mark.parametrize(
    "files",
    [*(shapes.project(more=files) for files in layouts.FORMATS.values()), *LAYOUTS.values()],
    ids=[*layouts.FORMATS, *LAYOUTS],
)
def test_all_that_image_and_services_read_is_there_and_nothing_of_the_project_changes(
    tmp_path: Path, files: dict[str, str]
) -> None:
    root = tmp_path / "shop"
    made = adopted(root, files)
    shapes.write(tmp_path / "before", files)
    for name in files:
        assert (root / name).read_bytes() == (tmp_path / "before" / name).read_bytes()
    dockerfile = (root / made.path("app/Dockerfile")).read_text()
    assert [name for name in sources(dockerfile) if name != "." and not any(root.glob(name))] == []
    template = (root / made.env_template).read_text()
    (root / made.env_file).write_text(env.create(template, {"project name": lambda _: "shop"}))
    resolved = subprocess.run(
        [*compose(), "config", "--format", "json"], cwd=root, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert resolved.returncode == 0, resolved.stderr
    app = json.loads(resolved.stdout)["services"]["app"]
    inside = PurePosixPath(app["working_dir"])
    assert (root / inside.relative_to(CODE) / made.manage).is_file()
