"""What init decides, from the facts of small projects and from answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from django_files import wsgi
from init import shapes

from berth.env import parse_template
from berth.errors import Refused
from berth.init import texts
from berth.init.answers import Unanswered
from berth.init.decide import decide
from berth.init.plan import Plan
from berth.inspect import facts
from berth.inspect.tree import Tree


def plan(root: Path, files: Mapping[str, str], **answers: str) -> Plan:
    """Return the plan of a project that is made of these files."""
    shapes.write(root, files)
    return decide(facts(root), answers, frozenset(Tree(root).files), "shop")


def environment(made: Plan) -> dict[str, str | None]:
    return {variable.name: variable.compose for variable in made.variables}


def test_a_url_is_built_under_the_name_that_the_settings_read(tmp_path: Path) -> None:
    made = plan(tmp_path, shapes.project(shapes.URL, more=shapes.REQUIREMENTS))
    assert environment(made)["DATABASE_URL"] == (
        "postgres://${DB_USER}:${DB_PASSWORD}@${DB_HOST:-db}:${DB_PORT:-5432}/${DB_NAME}"
    )
    assert (made.database, made.driver, made.base_settings) == ("postgresql", "psycopg", "")


def test_separate_variables_are_mapped_to_those_of_the_stack(tmp_path: Path) -> None:
    found = environment(plan(tmp_path, shapes.project(shapes.SEPARATE, more=shapes.REQUIREMENTS)))
    assert {name: found[name] for name in ("PG_NAME", "PG_USER", "PG_PASS", "PG_HOST")} == {
        "PG_NAME": "${DB_NAME}", "PG_USER": "${DB_USER}", "PG_PASS": "${DB_PASSWORD}", "PG_HOST": "${DB_HOST:-db}",
    }  # fmt: skip


def test_a_switch_is_set_to_the_word_that_means_postgresql(tmp_path: Path) -> None:
    assert environment(plan(tmp_path, shapes.project(shapes.SWITCH, more=shapes.REQUIREMENTS)))["DB_KIND"] == "postgres"


def test_a_literal_sqlite_is_asked_about_with_the_driver_as_reason(tmp_path: Path) -> None:
    with pytest.raises(Unanswered) as open_:
        plan(tmp_path, shapes.project(shapes.SQLITE, more=shapes.REQUIREMENTS))
    question = open_.value.question
    assert (question.name, question.default) == ("database", "postgresql")
    assert question.why.startswith("shop/settings.py:")


def test_a_literal_sqlite_without_any_sign_of_postgresql_stays_by_default(tmp_path: Path) -> None:
    with pytest.raises(Unanswered) as open_:
        plan(tmp_path, shapes.project(shapes.SQLITE, more={"requirements.txt": "django==5.2.8\n"}))
    assert open_.value.question.default == "sqlite"


def test_postgresql_for_a_literal_sqlite_means_settings_of_ours_and_a_driver(tmp_path: Path) -> None:
    files = shapes.project(shapes.SQLITE, more={"requirements.txt": "django==5.2.8\n"})
    made = plan(tmp_path, files, database="postgresql")
    assert (made.settings, made.base_settings) == ("berth_settings", "shop.settings")
    assert made.install.ours == ("gunicorn", "psycopg[binary]")


def test_the_image_that_is_shipped_has_the_database_of_the_new_settings_too(tmp_path: Path) -> None:
    made = plan(tmp_path, shapes.project(shapes.SQLITE, more=shapes.REQUIREMENTS), database="postgresql")
    assert (made.settings, made.prod_settings) == ("berth_settings", "berth_settings")


def test_a_kept_sqlite_has_no_server(tmp_path: Path) -> None:
    files = shapes.project(shapes.SQLITE, more={"requirements.txt": "django==5.2.8\n"})
    made = plan(tmp_path, files, database="sqlite")
    assert (made.services, made.settings) == ((), "shop.settings")


def test_mysql_is_refused_with_its_place_and_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"cannot, because shop/settings\.py:\d+ uses mysql.*--answer database="):
        plan(tmp_path, shapes.project(shapes.MYSQL, more={"requirements.txt": "django==5.2.8\nmysqlclient\n"}))


def test_a_host_that_the_settings_insist_on_becomes_a_name_of_the_server(tmp_path: Path) -> None:
    settings = shapes.SEPARATE.replace('os.environ.get("PG_HOST", "localhost")', '"postgres"')
    database = plan(tmp_path, shapes.project(settings, more=shapes.REQUIREMENTS)).service("db")
    assert database is not None
    assert database.aliases == ("postgres",)


def test_services_are_those_that_the_project_uses(tmp_path: Path) -> None:
    broker = 'CELERY_BROKER_URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")\n'
    more = {"requirements.txt": shapes.REQUIREMENTS["requirements.txt"] + "celery==5.5.3\nredis==5.2.1\n",
            "shop/celery.py": shapes.CELERY}  # fmt: skip
    made = plan(tmp_path, shapes.project(shapes.URL + broker, more=more))
    assert [service.name for service in made.services] == ["db", "redis"]
    assert [worker.kind for worker in made.workers] == ["celery"]
    assert environment(made)["REDIS_URL"] == "redis://redis:6379/0"


def test_every_script_that_a_service_runs_is_written(tmp_path: Path) -> None:
    more = {
        "requirements.txt": shapes.REQUIREMENTS["requirements.txt"] + "celery==5.5.3\ndjango-celery-beat==2.8.1\n",
        "shop/celery.py": shapes.CELERY,
        "Procfile": "web: gunicorn shop.wsgi\nbeat: celery -A shop beat\n",
    }
    made = plan(tmp_path, shapes.project(shapes.URL, more=more))
    written = texts.texts(made, ())
    lines = re.findall(r"^    command: \[(.*)\]$", written["docker/docker-compose.yml"], re.M)
    commands = [line.split(", ") for line in lines]
    assert ["start-celery-beat.sh", "--scheduler", '"django_celery_beat.schedulers:DatabaseScheduler"'] in commands
    scripts = {command[0] for command in commands if command[0].endswith(".sh")}
    assert scripts == {"migrate.sh", "start-dev-server.sh", "start-celery-worker.sh", "start-celery-beat.sh"}
    assert {f"docker/app/{script}" for script in scripts} <= written.keys()


@pytest.mark.parametrize(("image", "wanted"), [("3.7", "3.9"), ("3.9", "3.9")])
def test_a_python_that_no_tool_installs_packages_for_gives_way_to_one_that_django_allows(
    tmp_path: Path, image: str, wanted: str
) -> None:
    more = {"requirements.txt": "django==2.2.28\npsycopg2==2.9.9\ndj-database-url==1.0\n",
            "Dockerfile": f"FROM python:{image}\n"}  # fmt: skip
    assert plan(tmp_path, shapes.project(more=more)).python == wanted


def test_asgi_is_served_where_the_project_does_so(tmp_path: Path) -> None:
    asgi = {**shapes.REQUIREMENTS, "shop/asgi.py": wsgi("shop.settings").replace("wsgi", "asgi")}
    assert not plan(tmp_path / "a", shapes.project(more=asgi)).serve_asgi
    made = plan(tmp_path / "b", shapes.project(more={**asgi, "Procfile": "web: uvicorn shop.asgi:application\n"}))
    assert (made.serve_asgi, made.asgi) == (True, "shop.asgi")
    assert "uvicorn-worker" in made.install.ours


def test_a_project_below_the_root_runs_where_its_manage_py_is(tmp_path: Path) -> None:
    made = plan(tmp_path, shapes.project(folder="backend/", more={"backend/requirements.txt": "django==5.2.8\n"}))
    assert (made.django, str(made.workdir)) == ("backend", "/home/web/code/backend")
    assert made.import_paths == (".",)


def test_taken_names_get_others(tmp_path: Path) -> None:
    more = {**shapes.REQUIREMENTS, "docker/Dockerfile": "FROM scratch\n", ".env": "A=1\n"}
    made = plan(tmp_path, shapes.project(more=more))
    assert (made.folder, made.env_file, made.env_template) == ("berth-docker", ".env.berth", ".env.berth.template")


def test_a_variable_without_any_value_is_made_up_and_told(tmp_path: Path) -> None:
    made = plan(
        tmp_path, shapes.project(shapes.URL + 'SHOP_HOST = os.environ["SHOP_HOST"]\n', more=shapes.REQUIREMENTS)
    )
    assert environment(made)["SHOP_HOST"] == "${SHOP_HOST:-localhost}"
    assert any(remark.startswith("SHOP_HOST has no value") for remark in made.remarks)


def test_redis_that_no_container_reaches_is_told_with_what_to_write(tmp_path: Path) -> None:
    cache = 'CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": '
    files = shapes.project(shapes.URL + cache + '"redis://localhost:6379"}}\n', more=shapes.REQUIREMENTS)
    (remark,) = plan(tmp_path / "a", files).remarks
    assert re.match(r"shop/settings\.py:\d+: CACHES looks for Redis at localhost, .* let LOCATION read one", remark)
    files = shapes.project(shapes.URL + cache + 'os.environ["CACHE_URL"]}}\n', more=shapes.REQUIREMENTS)
    assert plan(tmp_path / "b", files).remarks == ()


def test_an_answer_gives_a_variable_its_value(tmp_path: Path) -> None:
    files = shapes.project(shapes.URL + 'SHOP_HOST = os.environ["SHOP_HOST"]\n', more=shapes.REQUIREMENTS)
    assert environment(plan(tmp_path, files, **{"variable.SHOP_HOST": "shop"}))["SHOP_HOST"] == "${SHOP_HOST:-shop}"


FORMATS = {
    "requirements": shapes.REQUIREMENTS,
    "pyproject": {"pyproject.toml": '[project]\nname = "shop"\nversion = "1"\ndependencies = ["django>=5.2"]\n'},
    "uv": {
        "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\ndependencies = ["django>=5.2"]\n',
        "uv.lock": 'version = 1\nrequires-python = ">=3.12"\n\n[[package]]\nname = "django"\nversion = "5.2.8"\n',
    },
    "poetry": {
        "pyproject.toml": '[tool.poetry]\nname = "shop"\n\n[tool.poetry.dependencies]\npython = "^3.12"\ndjango = "5"\n',
        "poetry.lock": '[[package]]\nname = "django"\nversion = "5.2.8"\n\n[metadata]\nlock-version = "2.1"\n',
    },
    "pipenv": {
        "Pipfile": '[packages]\ndjango = "*"\n',
        "Pipfile.lock": '{"_meta": {}, "default": {"django": {"version": "==5.2.8"}}, "develop": {}}\n',
    },
}


@pytest.mark.parametrize("format", FORMATS)
def test_packages_come_from_the_file_that_the_project_has(tmp_path: Path, format: str) -> None:
    made = plan(tmp_path, shapes.project(more=FORMATS[format]))
    assert made.install.format == format
    assert set(FORMATS[format]) <= set(made.install.files)


def test_a_folder_without_manage_py_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no manage\.py"):
        plan(tmp_path, {"README.md": "nothing\n"})


def test_a_front_end_is_said_to_be_built_by_hand(tmp_path: Path) -> None:
    package = '{"scripts": {"build": "vite build"}, "dependencies": {"vue": "3"}}'
    more = {**shapes.REQUIREMENTS, "ui/package.json": package, "ui/package-lock.json": "{}"}
    made = plan(tmp_path, shapes.project(shapes.URL, more=more))
    assert [each for each in made.remarks if "(cd ui && npm ci && npm run build)" in each]


def test_settings_that_are_made_from_an_example_are_asked_for_with_the_line_to_type(tmp_path: Path) -> None:
    settings = f"{shapes.URL}\nfrom shop import configuration\n"
    more = {**shapes.REQUIREMENTS, "shop/configuration_example.py": "A = 1\n"}
    with pytest.raises(Refused, match=re.escape("`cp shop/configuration_example.py shop/configuration.py`")):
        plan(tmp_path, shapes.project(settings, more=more))
    (tmp_path / "shop/configuration.py").write_text("A = 1\n")
    assert plan(tmp_path, {}).database == "postgresql"


def test_settings_module_of_which_there_is_only_an_example_is_asked_for(tmp_path: Path) -> None:
    files = shapes.project(shapes.URL, more=shapes.REQUIREMENTS)
    files["shop/settings.py.sample"] = files.pop("shop/settings.py")
    with pytest.raises(Refused, match=re.escape("`cp shop/settings.py.sample shop/settings.py`")):
        plan(tmp_path, files)


def test_an_example_that_nothing_insists_on_is_a_remark(tmp_path: Path) -> None:
    settings = f"{shapes.URL}\ntry:\n    from shop.local_settings import *\nexcept ImportError:\n    pass\n"
    more = {**shapes.REQUIREMENTS, "shop/local_settings.example.py": "A = 1\n"}
    remarks = plan(tmp_path, shapes.project(settings, more=more)).remarks
    assert any("`cp shop/local_settings.example.py shop/local_settings.py`" in each for each in remarks)


def test_settings_of_a_newer_python_are_refused_with_what_to_type(tmp_path: Path) -> None:
    files = shapes.project("def broken(:\n", more=shapes.REQUIREMENTS)
    with pytest.raises(Refused, match=r"shop/settings\.py:.* is no Python .*uv tool install --python"):
        plan(tmp_path, files)


def run_own_settings(made: Plan, theirs: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Return what berth_settings.py has, beside what it takes from the project's own settings."""
    for name in ("DB_NAME", "DB_USER", "DB_PASSWORD", "DB_HOST", "SECRET_KEY"):
        monkeypatch.setenv(name, f"our {name}")
    written = texts.texts(made, frozenset())["berth_settings.py"]
    names = dict(theirs)
    exec(written.replace("from shop.settings import *", ""), names)
    return names


@pytest.mark.parametrize(
    ("theirs", "key"), [({}, "our SECRET_KEY"), ({"SECRET_KEY": "of a local file"}, "of a local file")]
)
def test_own_settings_read_a_key_where_those_of_the_project_have_none(
    theirs: dict[str, object], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = shapes.project(shapes.SQLITE, more=shapes.REQUIREMENTS)
    files["shop/settings.py"] = re.sub(r"SECRET_KEY = .*", "", files["shop/settings.py"])
    made = plan(tmp_path, files, database="postgresql")
    assert environment(made)["SECRET_KEY"] == "${SECRET_KEY:?set it in .env, or type inv up}"
    assert run_own_settings(made, theirs, monkeypatch)["SECRET_KEY"] == key


def test_own_settings_leave_the_key_to_a_project_that_has_one(tmp_path: Path) -> None:
    made = plan(tmp_path, shapes.project(shapes.SQLITE, more=shapes.REQUIREMENTS), database="postgresql")
    assert "SECRET_KEY" not in texts.texts(made, frozenset())["berth_settings.py"]


def test_own_settings_lead_a_cache_at_localhost_to_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caches = """
CACHES = {"default": {
    "BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:6379/1",
}}
"""
    made = plan(tmp_path, shapes.project(shapes.SQLITE + caches, more=shapes.REQUIREMENTS), database="postgresql")
    theirs = {"CACHES": {"default": {"LOCATION": "redis://:x@127.0.0.1:6379/1"}}, "DATABASES": {}}
    names = run_own_settings(made, theirs, monkeypatch)
    assert names["CACHES"] == {"default": {"LOCATION": "redis://:x@redis:6379/1"}}
    assert not [each for each in made.remarks if "localhost" in each]


def test_a_lock_of_pdm_is_refused_with_the_line_that_exports_it(tmp_path: Path) -> None:
    project = '[project]\nname = "x"\ndependencies = ["django"]\n'
    lock = '[[package]]\nname = "django"\nversion = "5.2.8"\n'
    more = {"pyproject.toml": project, "pdm.lock": lock}
    with pytest.raises(Refused, match=re.escape("`pdm export --prod --output requirements.txt`")):
        plan(tmp_path, shapes.project(shapes.URL, more=more))


@pytest.mark.parametrize(
    ("group", "groups", "ours"),
    [("prod", ("prod",), ()), ("stack", ("stack",), ()), ("dev", (), ("gunicorn",)), ("aws-lambda", (), ("gunicorn",))],
)
def test_a_server_that_only_a_group_asks_for_counts_where_that_is_installed(
    tmp_path: Path, group: str, groups: tuple[str, ...], ours: tuple[str, ...]
) -> None:
    project = (
        '[project]\nname = "x"\ndependencies = ["django", "psycopg[binary]"]\n'
        f'[dependency-groups]\n{group} = ["gunicorn"]\n'
    )
    lock = "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n\n'
        for name, version in (("django", "5.2.8"), ("gunicorn", "23.0.0"), ("psycopg", "3.2.12"))
    )
    made = plan(tmp_path, shapes.project(shapes.URL, more={"pyproject.toml": project, "uv.lock": lock}))
    assert (made.install.groups, made.install.ours) == (groups, ours)


def test_celery_that_is_not_installed_gets_no_worker_and_a_remark(tmp_path: Path) -> None:
    made = plan(tmp_path, shapes.project(shapes.URL, more={**shapes.REQUIREMENTS, "shop/celery.py": shapes.CELERY}))
    assert (made.workers, [each.kind for each in made.services]) == ((), ["db"])
    assert any("shop/celery.py:6: no worker of Celery runs" in each for each in made.remarks)


def test_a_variable_that_berth_knows_too_stands_once_in_the_template(tmp_path: Path) -> None:
    settings = shapes.URL + '\nTRACES = os.environ.get("OTEL_SERVICE_NAME", "shop-web")\n'
    made = plan(tmp_path, shapes.project(settings, more=shapes.REQUIREMENTS))
    written = texts.texts(made, frozenset())[".env.template"]
    assert re.findall(r"(?m)^(?:# )?OTEL_SERVICE_NAME=.*", written) == ["# OTEL_SERVICE_NAME=shop-web"]
    assert parse_template(written)["OTEL_EXPORTER_OTLP_ENDPOINT"]
