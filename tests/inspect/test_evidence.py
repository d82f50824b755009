"""What Dockerfiles, compose files, shell lines and env files say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.inspect import compose_file, dockerfile, samples, shell
from berth.inspect.model import Place
from berth.inspect.tree import Tree, is_test


def test_continued_instruction_is_one_and_keeps_its_line() -> None:
    text = "# syntax=x\nFROM python:3.12 AS base\nRUN a && \\\n    # why\n    b\nCMD c\n"
    found = dockerfile.instructions(text, "Dockerfile")
    assert [(each.word, each.place.line) for each in found] == [("FROM", 2), ("RUN", 3), ("CMD", 6)]
    assert shell.unbroken(found[1].value).split() == ["a", "&&", "b"]


def test_here_document_is_part_of_its_instruction() -> None:
    found = dockerfile.instructions("RUN <<EOF\napt-get install -y git\nEOF\nCMD x\n", "Dockerfile")
    assert [each.word for each in found] == ["RUN", "CMD"]
    assert [name for name, _ in shell.packages(found[0].value)] == ["git"]


def test_stages_are_no_images() -> None:
    text = "ARG V=3.12\nFROM python:$V AS base\nFROM --platform=linux/amd64 node:${N:-22} AS node\nFROM base\n"
    found = dockerfile.images(dockerfile.instructions(text, "Dockerfile"))
    assert [image for image, _ in found] == ["python:3.12", "node:22"]


@given(st.text())
def test_any_text_is_read_as_a_dockerfile(text: str) -> None:
    for each in dockerfile.instructions(text, "Dockerfile"):
        assert each.word.isupper() or each.word.isalpha()
        assert each.place.line >= 1


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("apt-get update && apt-get install -y --no-install-recommends libpq5 git=1:2 && rm -rf /x", ["libpq5", "git"]),
        ("sudo apt -qq install libgdal-dev", ["libgdal-dev"]),
        ("apk add --no-cache postgresql-client; echo done", ["postgresql-client"]),
        ("apt-get install -y $PACKAGES curl # why not", ["curl"]),
        ("apt-get install -y \\\n  one \\\n  two\nnext line", ["one", "two"]),
        ("pip install django", []),
        ("echo apt-get is not used", []),
    ],
)
def test_system_packages_are_read_from_shell_lines(line: str, names: list[str]) -> None:
    assert [name for name, _ in shell.packages(line)] == names


def test_services_are_read_with_lines_and_merged_keys(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(
        "x-env: &env\n  A: ${A:-one}\nservices:\n  web:\n    build: .\n    environment:\n      <<: *env\n      B: two\n"
        "    command: [python, manage.py]\n  db:\n    image: postgres:${V:-16}\n    environment:\n      - C=three\n      - D\n"
    )
    tree = Tree(tmp_path)
    web, db = compose_file.services(tree, "compose.yml")
    assert web.environment == {"B": ("two", Place("compose.yml", 8)), "A": ("one", Place("compose.yml", 2))}
    assert web.commands == (("python manage.py", Place("compose.yml", 9)),)
    assert (db.image, db.environment["C"], db.environment["D"]) == (
        "postgres:16",
        ("three", Place("compose.yml", 13)),
        (None, Place("compose.yml", 14)),
    )


def test_yaml_that_builds_objects_is_only_text(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(
        "services:\n  a:\n    image: !!python/object/apply:os.system ['touch gone']\n"
    )
    tree = Tree(tmp_path)
    compose_file.services(tree, "compose.yml")
    assert not (tmp_path / "gone").exists()


def test_samples_of_env_files_are_unquoted_and_commented_ones_count() -> None:
    text = "# A note\nA='one' # why\nexport B=two # why\n#C=three\n# D is not=this\nE=\n"
    found = list(samples.in_env_file(text, ".env.example"))
    assert [(each.name, each.value, each.place.line) for each in found] == [
        ("A", "one", 2), ("B", "two", 3), ("C", "three", 4), ("E", "", 6),
    ]  # fmt: skip


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True), st.from_regex(r"[a-z0-9:/@.]{0,20}", fullmatch=True)
    )
)
def test_plain_env_file_is_read_back(values: dict[str, str]) -> None:
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    assert {each.name: each.value for each in samples.in_env_file(text, ".env")} == values


def test_value_of_a_secret_is_withheld() -> None:
    assert samples.shown("DJANGO_SECRET_KEY", "abc") == samples.WITHHELD
    assert (samples.shown("DB_HOST", "db"), samples.shown("API_TOKEN", "")) == ("db", "")


def test_folders_that_are_not_the_projects_own_are_left_out(tmp_path: Path) -> None:
    for name in (
        "a.py",
        "node_modules/b.py",
        "venv/pyvenv.cfg",
        "venv/lib/c.py",
        ".mypy_cache/d.py",
        ".berth/e.py",
        ".github/f.yml",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert Tree(tmp_path).files == ("a.py", ".github/f.yml")


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("tests/a.py", True),
        ("app/test_a.py", True),
        ("docs/a.py", True),
        ("sandbox/a.py", True),
        ("contest/a.py", False),
    ],
)
def test_files_of_tests_are_known_by_their_path(file: str, told: bool) -> None:
    assert is_test(file) is told
