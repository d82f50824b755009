"""Which expressions are taken for reads of the environment."""

from __future__ import annotations

import ast

import pytest

from berth.inspect.dialects import dialect
from berth.inspect.environment_reads import Read, reads


def read(code: str) -> list[Read]:
    tree = ast.parse(code)
    return list(reads(tree, dialect(tree)))


@pytest.mark.parametrize(
    ("code", "name", "default", "optional"),
    [
        ('os.environ["A"]', "A", None, False),
        ('environ["A"]', "A", None, False),
        ('os.environ.get("A")', "A", None, True),
        ('os.environ.get("A", "b")', "A", "'b'", True),
        ('os.getenv("A", default=1)', "A", "1", True),
        ('"A" in os.environ', "A", None, True),
        ('env("A")', "A", None, False),
        ('env("A", default="b")', "A", "'b'", False),
        ('env("A", bool, False)', "A", "False", False),
        ('env.bool("A", False)', "A", "False", False),
        ('env.db("A")', "A", None, False),
        ("env.db()", "DATABASE_URL", None, False),
        ('env.cache_url(default="x")', "CACHE_URL", "'x'", False),
        ('config("A", default="b", cast=str)', "A", "'b'", False),
        ('get_env_variable("A")', "A", None, False),
        ('dj_database_url.config(default="x")', "DATABASE_URL", "'x'", True),
        ('dj_database_url.config(env="A")', "A", None, True),
        ("django_cache_url.config()", "CACHE_URL", None, True),
        ('get_string(name="A", default="b")', "A", "'b'", False),
    ],
)
def test_read_is_recognised(code: str, name: str, default: str | None, optional: bool) -> None:
    imports = "from decouple import config\nfrom some.common.envs import get_string\n"
    [found] = read(imports + code)
    assert (found.name, found.default and ast.unparse(found.default), found.optional) == (name, default, optional)


@pytest.mark.parametrize(
    "code",
    ['os.environ["A"] = "b"\n', 'os.environ.setdefault("A", "b")', 'config("A")', 'other["A"]', "env.read_env()"],
)
def test_what_is_no_read_is_left_out(code: str) -> None:
    assert read(code) == []


def test_copy_of_the_environment_is_known_by_its_name() -> None:
    assert [found.name for found in read('env = os.environ.copy()\nenv["A"]\nenv.get("B")')] == ["A", "B"]


def test_schema_gives_defaults() -> None:
    found = read('env = environ.Env(A=(str, "b"), C=str)\nenv("A")\nenv("C")')
    assert [(each.name, each.default and ast.unparse(each.default)) for each in found] == [("A", "'b'"), ("C", None)]


def test_open_schema_leaves_it_unsure_what_happens_without_a_value() -> None:
    [found] = read('env = environ.Env(**defaults)\nenv("A")')
    assert not found.is_sure


def test_function_of_the_project_that_reads_is_known_by_its_body() -> None:
    code = 'def secret(name, default=None):\n    return os.environ.get(name, default)\nsecret("A", "b")'
    assert [(each.name, each.is_sure) for each in read(code)] == [("A", False)]
