"""migrate.sh on a real server: what it does about migrations that the running version cannot live with."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from django_files import manage
from servers import APP, Postgres

Environment = Callable[..., dict[str, str]]
Migrate = Callable[..., subprocess.CompletedProcess[str]]

SETTINGS = """
import os

SECRET_KEY = "secret"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
INSTALLED_APPS = os.environ["APPS"].split(",")
keys = {"NAME": "shop", "USER": "web", "PASSWORD": "secret", "HOST": "127.0.0.1", "PORT": os.environ["PORT"]}
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", **keys}}
"""
FIRST = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Item", [("id", models.AutoField(primary_key=True)), ("name", models.TextField())]),
    ]
"""
LATER = """
from django.db import migrations, models
{imported}

class Migration(migrations.Migration):
    dependencies = [("{app}", "0001_initial")]
    operations = [{operation}]
"""
DROPS = 'migrations.RemoveField("Item", "name")'
ADDS = 'migrations.AddField("Item", "price", models.IntegerField(null=True))'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two apps with a first migration each; the tests give them more."""
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "manage.py").write_text(manage("settings"))
    for app in ("items", "extras"):
        (tmp_path / app / "migrations").mkdir(parents=True)
        (tmp_path / app / "__init__.py").touch()
        (tmp_path / app / "migrations" / "__init__.py").touch()
        (tmp_path / app / "migrations" / "0001_initial.py").write_text(FIRST)
    return tmp_path


@pytest.fixture
def migrate(project: Path, postgres: Postgres, container: Environment) -> Migrate:
    """Return a function that runs migrate.sh in the project, whose tables only the last test has left."""
    postgres.psql("--command", "DROP SCHEMA public CASCADE", "--command", "CREATE SCHEMA public", PGDATABASE="shop")
    postgres.psql("--command", "GRANT ALL ON SCHEMA public TO web", PGDATABASE="shop")

    def run(apps: str = "items", **variables: str) -> subprocess.CompletedProcess[str]:
        settings = {"DJANGO_SETTINGS_MODULE": "settings", "PORT": str(postgres.port), "APPS": apps}
        environment = container(**settings, PYTHONDONTWRITEBYTECODE="1", **variables)
        return subprocess.run(
            ["bash", APP / "migrate.sh"], cwd=project, env=environment, capture_output=True, text=True
        )

    return run


def add(project: Path, operation: str, *, app: str = "items", imported: str = "") -> None:
    later = LATER.format(app=app, operation=operation, imported=imported)
    (project / app / "migrations" / "0002_later.py").write_text(later)


def test_what_running_code_cannot_live_with_is_refused_by_name_and_nothing_is_applied(
    migrate: Migrate, project: Path
) -> None:
    assert migrate(UNSAFE_MIGRATIONS="refuse").returncode == 0
    add(project, DROPS)
    made = migrate(UNSAFE_MIGRATIONS="refuse")
    assert made.returncode == 1
    assert made.stdout == "(items, 0002_later)... ERR\n\tDROPPING columns (table: items_item, column: name)\n"
    assert made.stderr.startswith(
        "migrate.sh: the running version cannot live with these migrations, so that none was applied"
    )
    allowed = migrate(UNSAFE_MIGRATIONS="warn")
    assert allowed.returncode == 0
    assert "(items, 0002_later)... ERR\n" in allowed.stdout
    assert "Applying items.0002_later... OK" in allowed.stdout


def test_what_it_can_live_with_and_what_is_applied_is_not_spoken_of(migrate: Migrate, project: Path) -> None:
    migrate()
    add(project, ADDS)
    made = migrate(UNSAFE_MIGRATIONS="refuse")
    assert (made.returncode, made.stdout.splitlines()[0]) == (0, "Running migrations..")
    add(project, DROPS)
    assert "No migrations to apply" in migrate(UNSAFE_MIGRATIONS="refuse").stdout


def test_an_empty_database_and_an_app_that_it_does_not_know_take_anything(migrate: Migrate, project: Path) -> None:
    add(project, DROPS, app="extras")
    assert migrate(UNSAFE_MIGRATIONS="refuse").returncode == 0
    made = migrate("items,extras", UNSAFE_MIGRATIONS="refuse")
    assert (made.returncode, made.stderr) == (0, "")
    assert "Applying extras.0002_later... OK" in made.stdout


def test_a_migration_can_say_that_it_is_meant(migrate: Migrate, project: Path) -> None:
    migrate()
    add(project, f"IgnoreMigration(), {DROPS}", imported="from django_migration_linter import IgnoreMigration")
    assert migrate(UNSAFE_MIGRATIONS="refuse").returncode == 0


def test_without_the_variable_nobody_looks_and_a_wrong_one_is_named(migrate: Migrate, project: Path) -> None:
    migrate()
    add(project, DROPS)
    wrong = migrate(UNSAFE_MIGRATIONS="maybe")
    assert (wrong.returncode, wrong.stderr) == (64, 'migrate.sh: UNSAFE_MIGRATIONS is "maybe": set refuse or warn\n')
    assert "ERR" not in migrate().stdout


def test_a_check_that_fails_itself_says_so(migrate: Migrate, project: Path) -> None:
    (project / "settings.py").write_text("raise ValueError('broken on purpose')")
    made = migrate(UNSAFE_MIGRATIONS="warn")
    assert (made.returncode, "broken on purpose" in made.stderr) == (1, True)
    assert "Running migrations" not in made.stdout
