"""Which manage.py is found, and which settings it and the servers choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from berth.inspect import Facts, facts

Project = Callable[[Mapping[str, str]], Facts]
Plain = dict[str, str]
APPS = 'INSTALLED_APPS = ["django.contrib.auth"]\n'


def test_manage_py_and_its_settings_are_certain(project: Project, plain: Plain) -> None:
    found = project(plain)
    for name, value, origin in [
        ("manage", "manage.py", "manage.py"),
        ("wsgi", "site1.wsgi", "site1/wsgi.py"),
        ("settings.development", "site1.settings", "manage.py:6"),
        ("settings.production", "site1.settings", "site1/wsgi.py:6"),
    ]:
        fact = found.get(name)
        assert fact is not None
        assert (fact.value, str(fact.origin), fact.certainty) == (value, origin, "certain")


def test_manage_py_in_a_folder_of_a_monorepo_is_found(project: Project, plain: Plain) -> None:
    found = project({f"backend/{name}": text for name, text in plain.items()})
    assert (found.value("manage"), found.value("settings.production")) == ("backend/manage.py", "site1.settings")


def test_sandbox_of_a_library_is_second_to_the_project(project: Project, plain: Plain) -> None:
    found = project({**plain, **{f"sandbox/{name}": text for name, text in plain.items()}})
    fact = found.get("manage")
    assert fact is not None
    assert (fact.value, fact.certainty) == ("manage.py", "likely")
    assert [each.value for each in fact.alternatives] == ["sandbox/manage.py"]


def test_sandbox_alone_is_a_guess(project: Project, plain: Plain) -> None:
    fact = project({f"sandbox/{name}": text for name, text in plain.items()}).get("manage")
    assert fact is not None
    assert (fact.value, fact.certainty) == ("sandbox/manage.py", "guess")


def test_two_projects_are_said_to_be_ambiguous(project: Project, plain: Plain) -> None:
    files = {f"{folder}/{name}": text for folder in ("one", "two") for name, text in plain.items()}
    fact = project(files).get("manage")
    assert fact is not None
    assert (fact.certainty, [each.value for each in fact.alternatives]) == ("guess", ["two/manage.py"])


def test_folder_without_django_has_no_manage_py(tmp_path: Path) -> None:
    found = facts(tmp_path)
    assert (found.value("manage"), found.value("requirements")) == (None, None)


def test_path_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="is no folder"):
        facts(tmp_path / "nothing")


def test_one_import_is_followed_to_the_settings(project: Project, plain: Plain) -> None:
    package = 'import os\ndef main():\n    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")\n'
    found = project({**plain, "manage.py": "from site1 import main\nmain()  # django\n", "site1/__init__.py": package})
    fact = found.get("settings.development")
    assert fact is not None
    assert (fact.value, str(fact.origin)) == ("site1.settings", "site1/__init__.py:3")


def test_module_that_is_run_is_followed_to_the_settings(project: Project, plain: Plain) -> None:
    main = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")\n'
    manage = 'import runpy\nrunpy.run_module("site1", run_name="__main__")\n'
    found = project({**plain, "manage.py": manage, "site1/__main__.py": main})
    assert found.value("settings.development") == "site1.settings"


def test_folder_that_manage_py_adds_to_the_path_is_searched(project: Project, plain: Plain) -> None:
    manage = plain["manage.py"].replace('__main__":', '__main__":\n    sys.path.append("code")')
    files = {f"code/{name}": text for name, text in plain.items() if name != "manage.py"}
    found = project({**files, "manage.py": manage})
    assert (found.value("wsgi"), found.get("settings.development").certainty) == ("site1.wsgi", "certain")  # type: ignore[union-attr]


def test_settings_with_a_computed_name_list_their_rivals(project: Project, plain: Plain) -> None:
    manage = """
        import os
        from django.core.management import execute_from_command_line
        kind = "production"
        if os.environ.get("DEBUG") == "1":
            kind = "development"
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"site1.settings.{kind}")
    """
    settings = {f"site1/settings/{name}.py": APPS for name in ("__init__", "production", "development")}
    files = {name: text for name, text in plain.items() if name != "site1/settings.py"}
    fact = project({**files, **settings, "manage.py": manage}).get("settings.development")
    assert fact is not None
    assert (fact.value, fact.certainty) == ("site1.settings.production", "likely")
    assert fact.alternatives[0].value == "site1.settings.development"
    assert "DEBUG" in fact.alternatives[0].why


def test_settings_that_a_file_sets_outright_make_the_default_a_guess(project: Project, plain: Plain) -> None:
    outright = 'import os\nos.environ["DJANGO_SETTINGS_MODULE"] = "other.settings"\n'
    fact = project({**plain, "site1/__init__.py": outright, "other/settings.py": APPS}).get("settings.development")
    assert fact is not None
    assert (fact.certainty, fact.alternatives[0].value) == ("guess", "other.settings")


def test_settings_of_a_copied_example_are_no_rival(project: Project, plain: Plain) -> None:
    outright = 'import os\nos.environ["DJANGO_SETTINGS_MODULE"] = "my_project.settings"\n'
    fact = project({**plain, "site1/script.py": outright}).get("settings.development")
    assert fact is not None
    assert (fact.certainty, fact.alternatives) == ("certain", ())


def test_settings_that_are_not_there_are_a_guess(project: Project, plain: Plain) -> None:
    fact = project({"manage.py": plain["manage.py"]}).get("settings.development")
    assert fact is not None
    assert (fact.value, fact.certainty) == ("site1.settings", "guess")


def test_production_settings_of_an_image_win_over_the_default_of_wsgi(project: Project, plain: Plain) -> None:
    settings = {"site1/settings/__init__.py": "", "site1/settings/dev.py": APPS, "site1/settings/production.py": APPS}
    files = {name: text for name, text in plain.items() if name != "site1/settings.py"}
    image = "FROM python:3.12\nENV DJANGO_SETTINGS_MODULE=site1.settings.production\nRUN pip install gunicorn\n"
    compose = "services:\n  web:\n    build: .\n    environment:\n      DJANGO_SETTINGS_MODULE: site1.settings.dev\n"
    found = project({**files, **settings, "Dockerfile": image, "compose.yaml": compose})
    production, development = found.get("settings.production"), found.get("settings.development")
    assert production is not None and development is not None
    assert (production.value, str(production.origin)) == ("site1.settings.production", "Dockerfile:2")
    assert (development.value, str(development.origin)) == ("site1.settings.dev", "compose.yaml:5")
    assert {production.certainty, development.certainty} == {"likely"}


def test_wsgi_with_the_settings_of_development_is_doubted(project: Project, plain: Plain) -> None:
    settings = {"site1/settings/__init__.py": "", "site1/settings/dev.py": APPS, "site1/settings/production.py": APPS}
    files = {name: text for name, text in plain.items() if name != "site1/settings.py"}
    wsgi = plain["site1/wsgi.py"].replace("site1.settings", "site1.settings.dev")
    fact = project({**files, **settings, "site1/wsgi.py": wsgi}).get("settings.production")
    assert fact is not None
    assert (fact.value, fact.certainty) == ("site1.settings.production", "guess")
    assert "site1.settings.dev" in [each.value for each in fact.alternatives]


def test_asgi_in_a_package_is_found(project: Project, plain: Plain) -> None:
    asgi = plain["site1/wsgi.py"].replace("wsgi", "asgi")
    files = {name: text for name, text in plain.items() if name != "site1/wsgi.py"}
    found = project({**files, "site1/asgi/__init__.py": asgi})
    assert (found.value("wsgi"), found.value("asgi")) == (None, "site1.asgi")


def test_django_configuration_is_read(project: Project, plain: Plain) -> None:
    manage = plain["manage.py"].replace(
        "    from", '    os.environ.setdefault("DJANGO_CONFIGURATION", "Dev")\n    from', 1
    )
    settings = """
        from configurations import Configuration, values
        class Base(Configuration):
            INSTALLED_APPS = []
            STATIC_ROOT = values.Value("/static")
            DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql",
                                     "HOST": values.Value("db", environ_name="DB_HOST", environ_prefix=None)}}
        class Dev(Base):
            DEBUG = True
            STATIC_URL = "/s/"
    """
    found = project({**plain, "manage.py": manage, "site1/settings.py": settings})
    database = found.value("database")
    assert found.value("django_configuration") == "Dev"
    assert isinstance(database, dict)
    assert (database["variables"], database["engine"]) == ({"HOST": ["DB_HOST"]}, "postgresql")
    assert found.get("variable.DJANGO_STATIC_ROOT") is not None
