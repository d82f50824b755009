"""How a project writes down its packages, and which Python they allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from berth.inspect import Fact, Facts
from berth.inspect.python_version import caret, of_image

Project = Callable[[Mapping[str, str]], Facts]
Plain = dict[str, str]
PROJECT = '[project]\nname = "x"\nrequires-python = ">=3.10"\ndependencies = ["django>=4.2,<5"]\n'
LOCK = 'version = 1\nrequires-python = ">=3.10"\n\n[[package]]\nname = "django"\nversion = "4.2.11"\n'


def requirements(found: Facts) -> tuple[Fact, dict[str, Any]]:
    fact = found.get("requirements")
    assert fact is not None and isinstance(fact.value, dict)
    return fact, fact.value


def python(found: Facts) -> tuple[Fact, dict[str, Any]]:
    fact = found.get("python")
    assert fact is not None and isinstance(fact.value, dict)
    return fact, fact.value


def test_hashed_requirements_are_told(project: Project, plain: Plain) -> None:
    text = "django==5.2.1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    fact, value = requirements(project({**plain, "requirements.txt": text}))
    assert (value["format"], value["hashed"], value["locked"], fact.certainty) == (
        "requirements",
        True,
        True,
        "certain",
    )


def test_chain_of_requirements_is_followed(project: Project, plain: Plain) -> None:
    files = {
        "requirements.txt": "-r requirements/prod.txt\n",
        "requirements/prod.txt": "-r base.txt\n-c limits.txt\ngunicorn==23.0.0  # the server\n-e .\n",
        "requirements/base.txt": "Django==5.2.1\n",
        "requirements/limits.txt": "psycopg==3.2.1\n",
    }
    found = project({**plain, **files})
    _, value = requirements(found)
    assert value["chain"] == [
        "requirements.txt",
        "requirements/prod.txt",
        "requirements/base.txt",
        "requirements/limits.txt",
    ]
    assert (value["installs_tree"], value["hashed"], value["locked"]) == (True, False, True)
    django = found.get("package.django")
    assert django is not None
    assert (django.value, str(django.origin)) == ({"version": "5.2.1"}, "requirements/base.txt:1")


@pytest.mark.parametrize("name", ["production", "prod", "deploy"])
def test_what_other_files_include_is_only_a_part_of_what_runs(project: Project, plain: Plain, name: str) -> None:
    files = {
        "requirements/base.txt": "Django==5.2.1\n",
        f"requirements/{name}.txt": "-r base.txt\ngunicorn==23.0.0\n",
        "requirements/local.txt": "-r base.txt\npytest==8.4.2\n",
    }
    _, value = requirements(project({**plain, **files}))
    assert value["files"] == [f"requirements/{name}.txt"]


def test_what_only_development_includes_is_what_runs(project: Project, plain: Plain) -> None:
    files = {
        "requirements/common.txt": "Django==5.2.1\n",
        "requirements/dev.txt": "-r common.txt\npytest==8.4.2\n",
    }
    _, value = requirements(project({**plain, **files}))
    assert value["files"] == ["requirements/common.txt"]


def test_uv_lock_is_read_with_its_groups_and_extras(project: Project, plain: Plain) -> None:
    text = PROJECT + '[dependency-groups]\ndev = ["pytest"]\n[project.optional-dependencies]\ns3 = ["boto3"]\n'
    found = project({**plain, "pyproject.toml": text, "uv.lock": LOCK})
    _, value = requirements(found)
    assert (value["format"], value["groups"], value["extras"]) == ("uv", ["dev"], ["s3"])
    assert found.value("package.django") == {"version": "4.2.11"}


@pytest.mark.parametrize(
    ("files", "form"),
    [
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.10"\n', "poetry.lock": LOCK}, "poetry"),
        ({"pyproject.toml": PROJECT, "pdm.lock": LOCK}, "pdm"),
        ({"Pipfile": '[packages]\ndjango = "*"\n', "Pipfile.lock": '{"default": {"django": {"version": "==4.2.11"}}}'}, "pipenv"),
        ({"requirements/base.txt": "django==4.2.11\n"}, "requirements"),
        ({"pyproject.toml": PROJECT.replace(">=4.2,<5", "==4.2.11")}, "pyproject"),
        ({"setup.cfg": "[options]\ninstall_requires =\n  django==4.2.11\n"}, "pyproject"),
        ({"pyproject.toml": '[dependency-groups]\nmain = ["django==4.2.11"]\ndev = ["pytest"]\n'}, "pyproject"),
    ],
)  # fmt: skip
def test_format_is_recognised(project: Project, plain: Plain, files: dict[str, str], form: str) -> None:
    found = project({**plain, **files})
    fact, value = requirements(found)
    assert (value["format"], fact.certainty) == (form, "certain")
    assert found.value("package.django") == {"version": "4.2.11"}


def test_dockerfile_decides_between_two_locks(project: Project, plain: Plain) -> None:
    files = {"pyproject.toml": PROJECT, "uv.lock": LOCK, "requirements.txt": "django==4.2.11\n"}
    fact, value = requirements(
        project({**plain, **files, "Dockerfile": "FROM python:3.12\nRUN pip install -r requirements.txt\n"})
    )
    assert (value["format"], fact.certainty) == ("requirements", "likely")
    assert fact.alternatives[0].value["format"] == "uv"  # type: ignore[index, call-overload]


def test_two_locks_and_no_word_on_which_is_a_guess(project: Project, plain: Plain) -> None:
    files = {"pyproject.toml": PROJECT, "uv.lock": LOCK, "requirements.txt": "django==4.2.11\n"}
    fact, _ = requirements(project({**plain, **files}))
    assert fact.certainty == "guess"


def test_constraints_lock_what_is_installed_from_the_tree(project: Project, plain: Plain) -> None:
    files = {
        "setup.cfg": "[options]\ninstall_requires =\n  django>=4.2\n",
        "requirements.txt": "django==4.2.11\n",
        "Dockerfile": "FROM python:3.12\nRUN pip install . -c requirements.txt\n",
    }
    found = project({**plain, **files})
    _, value = requirements(found)
    assert (value["format"], value["constraints"], value["installs_tree"]) == ("pyproject", "requirements.txt", True)
    assert found.value("package.django") == {"version": "4.2.11"}


def test_lock_above_manage_py_is_found(project: Project, plain: Plain) -> None:
    files = {f"code/{name}": text for name, text in plain.items()}
    _, value = requirements(project({**files, "pyproject.toml": PROJECT, "uv.lock": LOCK}))
    assert value["files"] == ["uv.lock", "pyproject.toml"]


@pytest.mark.parametrize(
    ("django", "newest"),
    [("3.2.25", "3.10"), ("4.1.13", "3.11"), ("4.2.11", "3.12"), ("5.1.1", "3.13"), ("5.2", "3.14")],
)
def test_locked_django_is_the_ceiling_of_python(project: Project, plain: Plain, django: str, newest: str) -> None:
    _, value = python(project({**plain, "requirements.txt": f"django=={django}\n"}))
    assert value["allowed"][-1] == newest


def test_image_decides_which_python_is_preferred(project: Project, plain: Plain) -> None:
    files = {
        "requirements.txt": "django==5.2\n",
        "Dockerfile": "ARG V=3.12\nFROM python:${V}-slim\nRUN pip install x\n",
    }
    fact, value = python(project({**plain, **files, ".python-version": "3.11\n"}))
    assert (value["preferred"], fact.certainty, str(fact.origin)) == ("3.12", "certain", "Dockerfile:2")
    assert [each.value for each in fact.alternatives] == ["3.11"]


def test_python_that_django_does_not_allow_is_not_preferred(project: Project, plain: Plain) -> None:
    files = {"requirements.txt": "django==4.2\n", "runtime.txt": "python-3.14.0\n"}
    fact, value = python(project({**plain, **files}))
    assert (value["preferred"], fact.certainty) == ("3.12", "guess")
    assert "Django 4.2" in fact.why


def test_continuous_integration_alone_is_likely(project: Project, plain: Plain) -> None:
    workflow = "jobs:\n  a:\n    steps:\n      - with:\n          python-version: ['3.11', \"3.12\"]\n"
    files = {"requirements.txt": "django==5.2\n", ".github/workflows/ci.yml": workflow}
    fact, value = python(project({**plain, **files}))
    assert (value["preferred"], fact.certainty) == ("3.12", "likely")


def test_bounds_that_leave_one_version_are_certain(project: Project, plain: Plain) -> None:
    text = PROJECT.replace(">=3.10", "==3.12.4").replace(">=4.2,<5", "==5.2")
    fact, value = python(project({**plain, "pyproject.toml": text}))
    assert (value["allowed"], value["preferred"], fact.certainty) == (["3.12"], "3.12", "certain")


def test_no_word_on_python_is_a_guess(project: Project, plain: Plain) -> None:
    fact, _ = python(project({**plain, "requirements.txt": "django==5.2\n"}))
    assert fact.certainty == "guess"


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("python:3.12-slim", "3.12"), ("host/library/python:3.11.4", "3.11.4"), ("ubi9/python-312", "3.12"),
        ("host/uv:python3.13-bookworm-slim", "3.13"), ("cimg/python:3.9", "3.9"), ("python:3", None), ("node:22", None),
        ("python:latest", None), ("python:3.14@sha256:3333", "3.14"),
    ],
)  # fmt: skip
def test_version_is_read_from_an_image(image: str, version: str | None) -> None:
    assert of_image(image) == version


@pytest.mark.parametrize(
    ("poetry", "standard"),
    [
        ("^3.9", ">=3.9,<4"),
        ("~3.9", ">=3.9,<3.10"),
        (">=3.8,<4.0", ">=3.8,<4.0"),
        ("3.11", "==3.11.*"),
        ("*", ""),
        ("~=3.11.0", "~=3.11.0"),
    ],
)
def test_specifier_of_poetry_is_put_in_the_standard_form(poetry: str, standard: str) -> None:
    assert caret(poetry) == standard


@given(major=st.integers(1, 5), minor=st.integers(0, 20), sign=st.sampled_from("^~"))
def test_caret_makes_a_specifier_that_holds_its_own_version(major: int, minor: int, sign: str) -> None:
    assert SpecifierSet(caret(f"{sign}{major}.{minor}")).contains(f"{major}.{minor}.1")


def test_requirements_that_powershell_has_written_are_read(project: Project, plain: Plain, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes("django==5.2.1\r\n".encode("utf-16"))
    _, value = requirements(project(plain))
    assert (value["format"], value["locked"]) == ("requirements", True)


def test_packages_for_another_database_give_way_to_those_for_postgresql(project: Project, plain: Plain) -> None:
    files = {
        "requirements/base.txt": "django==5.2.1\n",
        "requirements/mariadb.txt": "-r base.txt\nmysqlclient==2.2.7\n",
        "requirements/postgres.txt": "-r base.txt\npsycopg==3.2.12\n",
        "Dockerfile": "RUN pip install -r requirements/mariadb.txt\nRUN pip install -r requirements/postgres.txt\n",
    }
    _, value = requirements(project({**plain, **files}))
    assert value["files"] == ["requirements/postgres.txt"]
