"""The other facts: variables, caches, servers, PostgreSQL, Node, probes, own files; and how facts are written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from berth.inspect import Alternative, Fact, Facts, Place
from berth.inspect.rendering import as_json, as_table

Made = Callable[..., Facts]


def value(found: Facts, name: str) -> Any:
    fact = found.get(name)
    assert fact is not None
    return fact.value


def test_variable_has_its_default_and_a_sample(with_settings: Made) -> None:
    code = 'import os\nA = os.environ["A"]\nB = os.getenv("B", "x")\nSECRET_KEY = os.getenv("SECRET_KEY", "hush")\n'
    found = with_settings(code, {".env.example": "A=one\nSECRET_KEY=hush\n"})
    assert value(found, "variable.A") == {
        "required": True,
        "sample": "one",
        "sample_origin": ".env.example:1",
        "reads": ["site1/settings.py:3"],
    }
    assert value(found, "variable.B") == {"required": False, "default": "x", "reads": ["site1/settings.py:4"]}
    assert "hush" not in as_json(found)


def test_variable_that_is_needed_only_sometimes_says_when(with_settings: Made) -> None:
    code = 'import os\nif os.getenv("USE_S3"):\n    BUCKET = os.environ["BUCKET"]\n'
    entry = value(with_settings(code), "variable.BUCKET")
    assert (entry["required"], entry["required_when"]) == (False, "os.getenv('USE_S3')")


def test_variable_of_an_imported_module_of_the_settings_is_listed(with_settings: Made) -> None:
    found = with_settings("from .env import DEBUG\n", {"site1/env.py": 'import os\nDEBUG = os.environ["DEBUG"]\n'})
    assert value(found, "variable.DEBUG")["reads"] == ["site1/env.py:2"]


def test_settings_of_a_package_and_local_ones_are_told_apart(with_settings: Made) -> None:
    code = "from vendor.settings import *\ntry:\n    from .local import *\nexcept ImportError:\n    pass\n"
    found = with_settings(code)
    assert (value(found, "settings.external"), value(found, "settings.local")) == ("vendor.settings", ".local")


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        ('CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache"}}', ["redis"]),
        ('CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}', ["memory"]),
        ('CACHES = {"default": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache"}}', ["memcached"]),
    ],
)
def test_cache_is_known_by_its_backend(with_settings: Made, code: str, kinds: list[str]) -> None:
    assert value(with_settings(code), "caches")["kinds"] == kinds


REDIS = 'CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": %s}}'


@pytest.mark.parametrize(
    ("location", "is_local"),
    [
        ('"redis://localhost:6379/1"', True),
        ('["redis://:secret@127.0.0.1:6379"]', True),
        ('"redis://cache:6379/1"', None),
        ('os.environ.get("CACHE", "redis://localhost:6379")', None),
        ('"redis://localhost.shop.example:6379"', None),
    ],
)
def test_redis_on_this_machine_alone_is_told(with_settings: Made, location: str, is_local: bool | None) -> None:
    assert value(with_settings("import os\n" + REDIS % location), "caches").get("local") is is_local


def test_channel_layer_and_server_are_read(with_settings: Made) -> None:
    code = 'import os\nCHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [os.environ["R"]]}}}'
    found = with_settings(code, {"Procfile": "web: daphne site1.asgi:application\n"})
    assert value(found, "channels") == {"kinds": ["redis"], "variables": ["R"]}
    assert value(found, "server")["interface"] == "asgi"
    assert value(found, "process.web") == "daphne site1.asgi:application"


def test_postgres_is_read_from_images_migrations_and_settings(with_settings: Made) -> None:
    migration = "from django.contrib.postgres.operations import CreateExtension, TrigramExtension\noperations = [TrigramExtension(), CreateExtension('hstore')]\n"
    files = {
        "compose.yaml": "services:\n  d:\n    image: postgis/postgis:16-3.4\n",
        "site1/migrations/0001_a.py": migration,
        "requirements.txt": "django==5.2\npgvector==0.3.0\n",
    }
    found = with_settings('INSTALLED_APPS += ["django.contrib.gis"]', files)
    assert value(found, "postgres.version") == "16"
    names = {fact.name.rpartition(".")[2] for fact in found.family("postgres.extension")}
    assert names == {"pg_trgm", "hstore", "postgis", "vector"}


def test_node_front_end_has_its_manager_and_its_script(with_settings: Made) -> None:
    package = '{"scripts": {"build": "vite build"}, "engines": {"node": ">=20"}}'
    found = with_settings("", {"front/package.json": package, "front/pnpm-lock.yaml": "x: 1\n"})
    node = value(found, "node")
    assert (node["folder"], node["manager"], node["build"], node["command"], node["node"]) == (
        "front",
        "pnpm",
        "build",
        "vite build",
        ">=20",
    )


def test_probe_of_their_own_check_comes_before_a_route(with_settings: Made) -> None:
    urls = 'from django.urls import path\nurlpatterns = [path("ping/", view), path("healthz", view), path("x/<int:y>/", view)]\n'
    image = "FROM python:3.12\nRUN pip install gunicorn\nHEALTHCHECK CMD curl -f http://localhost:8000/-/health/ || exit 1\n"
    found = with_settings("", {"site1/urls.py": urls, "Dockerfile": image})
    fact = found.get("probe")
    assert fact is not None
    assert (fact.value, fact.certainty) == ("/-/health/", "likely")
    assert [each.value for each in fact.alternatives] == ["/ping/", "/healthz"]


def test_system_packages_of_the_dockerfile_are_listed(with_settings: Made) -> None:
    image = "FROM python:3.12\nRUN apt-get update \\\n && apt-get install -y libpq5 `# for psycopg` \\\n gettext\nRUN pip install .\n"
    assert value(with_settings("", {"Dockerfile": image}), "system_packages") == ["gettext", "libpq5"]


def test_files_that_are_already_there_are_listed(with_settings: Made) -> None:
    found = with_settings(
        "",
        {
            "Dockerfile": "FROM python:3.12\n",
            ".env": "A=b\n",
            "docker/x": "",
            "compose.yaml": "services:\n  a:\n    image: b\n",
        },
    )
    assert value(found, "dockerfile") == {"file": "Dockerfile", "images": ["python:3.12"]}
    assert value(found, "compose_file") == {"file": "compose.yaml", "services": ["a"]}
    assert value(found, "env_file") == {"file": ".env", "in_use": True}
    assert "docker" in [fact.value for fact in found if fact.name == "name_taken"]


def test_static_files_and_user_model_are_read(with_settings: Made) -> None:
    code = """
        from pathlib import Path
        BASE_DIR = Path(__file__).parent
        STATIC_ROOT = BASE_DIR / "static"
        AUTH_USER_MODEL = "people.Person"
        if env("WHITE"):
            MIDDLEWARE.append("whitenoise.middleware.WhiteNoiseMiddleware")
    """
    found = with_settings(code)
    assert value(found, "setting.STATIC_ROOT")["value"] == "{}/static"
    assert value(found, "setting.AUTH_USER_MODEL")["value"] == "people.Person"
    whitenoise = found.get("whitenoise")
    assert whitenoise is not None
    assert (whitenoise.value, whitenoise.certainty, whitenoise.why) == (True, "likely", "only when: env('WHITE')")


FACTS = Facts(
    (
        Fact("manage", "manage.py", Place("manage.py")),
        Fact(
            "x", {"a": 1, "b": [], "c": True}, Place("f", 3), "guess", (Alternative(None, Place("g", 4), "so"),), "why"
        ),
    )
)


def test_json_holds_everything() -> None:
    assert json.loads(as_json(FACTS)) == {
        "facts": [
            {"name": "manage", "value": "manage.py", "origin": "manage.py", "certainty": "certain"},
            {
                "name": "x",
                "value": {"a": 1, "b": [], "c": True},
                "origin": "f:3",
                "certainty": "guess",
                "alternatives": [{"value": None, "origin": "g:4", "why": "so"}],
                "why": "why",
            },
        ]
    }


def test_table_has_a_line_for_each_fact_and_remarks_on_doubtful_ones() -> None:
    assert as_table(FACTS) == (
        "manage  manage.py   manage.py  certain\nx       a=1, c=yes  f:3        guess\n    why\n    or none (g:4): so\n"
    )


def test_table_of_nothing_says_so() -> None:
    assert as_table(Facts(())) == "no facts were found\n"
