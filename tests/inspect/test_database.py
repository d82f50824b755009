"""Which database is read from settings, and which variables drive it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from berth.inspect import Fact, Facts

Made = Callable[..., Facts]


def database(found: Facts) -> tuple[Fact, dict[str, Any]]:
    fact = found.get("database")
    assert fact is not None and isinstance(fact.value, dict)
    return fact, fact.value


def test_separate_variables_are_named_by_field(with_settings: Made) -> None:
    fact, value = database(
        with_settings("""
        import os
        DATABASES = {"default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["DB"], "USER": os.getenv("WHO", "me"),
            "PASSWORD": os.environ.get("WORD", "secret"), "HOST": os.environ.get("HOST1", "db"), "PORT": 5432}}
        """)
    )
    assert value["variables"] == {"NAME": ["DB"], "USER": ["WHO"], "PASSWORD": ["WORD"], "HOST": ["HOST1"]}
    assert value["defaults"] == {"USER": "me", "HOST": "db", "PORT": 5432}
    assert (value["engine"], value["form"], fact.certainty) == ("postgresql", "separate", "certain")
    assert str(fact.origin) == "site1/settings.py:4"


@pytest.mark.parametrize(
    "code",
    [
        'import dj_database_url\nDATABASES = {"default": dj_database_url.config(default="postgres://h/n")}',
        'import dj_database_url\nDATABASES = {"default": dj_database_url.parse(env("DATABASE_URL", "postgres://h/n"))}',
        'import environ\nenv = environ.Env(DATABASE_URL=(str, "postgres://h/n"))\nDATABASES = {"default": env.db()}',
        'DATABASES = {"default": env.dj_db_url("DATABASE_URL", default="postgres://h/n")}',
        'X = dj_database_url.config(default="postgres://h/n")\nDATABASES = {"default": X}',
        'DATABASES = {"default": {**dj_database_url.config(default="postgres://h/n"), "ATOMIC_REQUESTS": True}}',
        'DATABASES = {}\nDATABASES["default"] = dj_database_url.config(default="postgres://h/n")',
    ],
)
def test_url_is_recognised_in_all_its_forms(with_settings: Made, code: str) -> None:
    _, value = database(with_settings(code))
    assert (value["engine"], value["form"], value["variables"]) == ("postgresql", "url", {"URL": ["DATABASE_URL"]})


def test_sqlite_as_the_default_of_a_url_is_said(with_settings: Made) -> None:
    code = 'DATABASES = {"default": env.db(default="sqlite:///db.sqlite3")}'
    fact, value = database(with_settings(code, {".env.example": "DATABASE_URL=postgres://u:p@db/n\n"}))
    assert (value["engine"], value["default_engine"], fact.certainty) == ("postgresql", "sqlite", "likely")
    assert "runs on sqlite" in fact.why


def test_default_that_a_sample_contradicts_is_not_certain(with_settings: Made) -> None:
    code = 'DATABASES = {"default": dj_database_url.config(default="mysql://root@localhost/n")}'
    fact, value = database(with_settings(code, {".env.example": "DATABASE_URL=postgres://u:p@db/n\n"}))
    assert (value["engine"], value["default_engine"], fact.certainty) == ("postgresql", "mysql", "likely")


def test_driver_tells_the_engine_where_nothing_else_does(with_settings: Made) -> None:
    code = 'DATABASES = {"default": dj_database_url.config()}'
    fact, value = database(with_settings(code, {"requirements.txt": "django==5.2\npsycopg==3.2.1\n"}))
    assert (value["engine"], fact.certainty) == ("postgresql", "likely")
    assert "requirements.txt:2" in fact.why


def test_engine_that_nothing_tells_is_a_guess(with_settings: Made) -> None:
    fact, value = database(with_settings('DATABASES = {"default": dj_database_url.config()}'))
    assert (value["engine"], fact.certainty) == (None, "guess")


def test_switch_between_databases_is_named(with_settings: Made) -> None:
    found = with_settings("""
        import os
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "x"}}
        if os.getenv("DB") == "postgres":
            DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.getenv("DB_NAME")}}
        """)
    fact, value = database(found)
    assert (value["engine"], fact.certainty, fact.alternatives[0].value["engine"]) == (  # type: ignore[index, call-overload]
        "postgresql",
        "likely",
        "sqlite",
    )
    switch = found.get("database.switch")
    assert switch is not None
    assert switch.value == {"variable": "DB", "condition": "os.getenv('DB') == 'postgres'"}


def test_a_url_goes_before_a_file_whose_name_alone_is_a_variable(with_settings: Made) -> None:
    found = with_settings(
        """
        import os
        import dj_database_url
        if "DATABASE_URL" in os.environ:
            DATABASES = {"default": dj_database_url.config(conn_max_age=500)}
        else:
            DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("FILE", "x")}}
        """,
        {"requirements.txt": "django==5.2\npsycopg==3.2.1\n"},
    )
    _, value = database(found)
    assert (value["engine"], value["form"], value["variables"]) == ("postgresql", "url", {"URL": ["DATABASE_URL"]})


def test_condition_by_way_of_a_name_is_traced_to_its_variable(with_settings: Made) -> None:
    found = with_settings("""
        import os
        KIND = os.environ.get("KIND", "LOCAL").upper()
        if KIND == "LOCAL":
            DATABASES = {"default": env.db("DATABASE_URL", default="postgres://h/n")}
        else:
            DATABASES = {"default": dj_database_url.parse(cloud())}
        """)
    switch = found.get("database.switch")
    assert switch is not None and isinstance(switch.value, dict)
    assert switch.value["variable"] == "KIND"
    assert found.get("database").certainty == "likely"  # type: ignore[union-attr]


def test_base_settings_are_followed_and_overridden(with_settings: Made) -> None:
    base = 'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "x"}}\n'
    code = 'from .base import *\nDATABASES = {"default": env.db("DATABASE_URL", default="postgis://h/n")}'
    fact, value = database(with_settings(code, {"site1/base.py": base}))
    assert (value["engine"], fact.alternatives) == ("postgresql", ())


def test_split_settings_are_followed(with_settings: Made) -> None:
    code = 'from split_settings.tools import include, optional\ninclude("parts/*.py", optional("local.py"))'
    part = 'DATABASES = {"default": env.db("DATABASE_URL", default="postgres://h/n")}\n'
    fact, _ = database(with_settings(code, {"site1/parts/db.py": part}))
    assert str(fact.origin) == "site1/parts/db.py:1"


def test_fields_that_settings_leave_out_fall_to_the_driver(with_settings: Made) -> None:
    code = 'DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": ""}}'
    _, value = database(with_settings(code))
    assert (value["form"], value["libpq"]) == (
        "fixed",
        {"USER": "PGUSER", "PASSWORD": "PGPASSWORD", "HOST": "PGHOST", "PORT": "PGPORT"},
    )


def test_text_of_a_url_in_the_place_of_a_database_is_doubted(with_settings: Made) -> None:
    fact, _ = database(with_settings('import os\nURL = os.getenv("DATABASE_URL")\nDATABASES = {"default": URL}'))
    assert (fact.certainty, "no dict" in fact.why) == ("guess", True)


def test_database_that_a_function_makes_is_a_guess_with_its_variables(with_settings: Made) -> None:
    code = "from .parsing import made\nDATABASES = made()"
    parsing = (
        'import os\ndef made():\n    return {"default": {"HOST": os.getenv("X_HOST"), "NAME": os.getenv("X_DB")}}\n'
    )
    fact, value = database(with_settings(code, {"site1/parsing.py": parsing}))
    assert (fact.certainty, value["form"]) == ("guess", "computed")
    assert value["variables"] == {"HOST": ["X_HOST"], "NAME": ["X_DB"]}


def test_part_of_a_database_is_a_guess(with_settings: Made) -> None:
    code = """
        DATABASES = getattr(configuration, "DATABASES", {})
        if "ENGINE" not in DATABASES["default"]:
            DATABASES["default"].update({"ENGINE": "django.db.backends.postgresql"})
    """
    fact, _ = database(with_settings(code))
    assert (fact.certainty, "a part" in fact.why) == ("guess", True)


def test_fixed_database_is_doubted_where_local_settings_may_replace_it(with_settings: Made) -> None:
    code = """
        DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "x"}}
        try:
            from .local import *
        except ImportError:
            pass
    """
    fact, _ = database(with_settings(code))
    assert (fact.certainty, fact.why) == ("likely", ".local, which is imported and not there, may replace it")


def test_settings_without_databases_are_a_guess(with_settings: Made) -> None:
    fact = with_settings("").get("database")
    assert fact is not None
    assert (fact.value, fact.certainty) == (None, "guess")


def test_further_databases_are_named(with_settings: Made) -> None:
    code = 'DATABASES = {"default": env.db(), "replica": env.db("REPLICA_URL")}'
    assert with_settings(code).value("database.aliases") == ["replica"]


def test_databases_of_development_are_told_apart(with_settings: Made) -> None:
    found = with_settings(
        'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "x"}}',
        {
            "site1/prod.py": 'INSTALLED_APPS = []\nDATABASES = {"default": env.db(default="postgres://h/n")}\n',
            "site1/wsgi.py": 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.prod")\napplication = 1\n',
        },
    )
    production, development = found.value("database"), found.value("database.development")
    assert isinstance(production, dict) and isinstance(development, dict)
    assert (production["engine"], development["engine"]) == ("postgresql", "sqlite")


def test_database_that_a_function_makes_of_what_the_module_has_read_is_driven_by_those_variables(
    with_settings: Made,
) -> None:
    code = """
        import os
        ENGINE = os.getenv("DB_ENGINE")
        PG_HOST = os.getenv("PG_HOST")
        PG_NAME = os.getenv("PG_DB")
        def made():
            if not PG_HOST:
                return {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
            return {"default": {"ENGINE": ENGINE or "django.db.backends.sqlite3", "HOST": PG_HOST, "NAME": PG_NAME}}
        DATABASES = made()
    """
    files = {".env.example": "DB_ENGINE=django.db.backends.postgresql\n"}
    fact, value = database(with_settings(code, files))
    assert (fact.certainty, value["engine"], value["default_engine"]) == ("likely", "postgresql", "sqlite")
    assert value["variables"] == {"ENGINE": ["DB_ENGINE"], "HOST": ["PG_HOST"], "NAME": ["PG_DB"]}


def test_variables_are_read_by_a_helper_of_another_module(with_settings: Made) -> None:
    code = """
        from site1 import secret_store
        HOST = secret_store.get_secret("X_HOST")
        DATABASES = {"default": {
            "ENGINE": "django.db.backends.postgresql", "HOST": HOST, "NAME": secret_store.get_secret("X_NAME", "x"),
            "USER": secret_store.get_secret("X_USER"),
        }}
        if not HOST.startswith("aws"):
            DATABASES["default"]["PASSWORD"] = secret_store.get_secret("X_PASSWORD")
    """
    helper = """
        import os
        def get_secret(secret_name, default=""):
            secret = os.environ.get(secret_name, default)
            return secret
    """
    _, value = database(with_settings(code, {"site1/secret_store.py": helper}))
    assert value["variables"] == {
        "HOST": ["X_HOST"],
        "NAME": ["X_NAME"],
        "USER": ["X_USER"],
        "PASSWORD": ["X_PASSWORD"],
    }


def test_what_cannot_be_read_is_not_left_to_the_driver(with_settings: Made) -> None:
    code = (
        'DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": name_of(1), "HOST": host_of(1)}}'
    )
    _, value = database(with_settings(code))
    assert {"NAME", "HOST"}.isdisjoint(value["libpq"])
    assert value["defaults"] == {"NAME": "{}", "HOST": "{}"}
