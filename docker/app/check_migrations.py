#!/opt/venv/bin/python
"""Check the migrations of the Django project in the working folder.

Found are changes of models that no migration makes, migrations of one app that follow the same one, and those that
cannot be undone; where django-migration-linter is installed also what breaks the code that still runs while a new
release is rolled out. Ends with 1 when one of them is found, but for what cannot be undone, which is only told.

usage: check-migrations
       check-migrations --release    only what breaks running code, of the migrations that the database still lacks: 3
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.db.migrations import Migration

UNSAFE = 3
HINT = "add django-migration-linter to requirements/prod.in, lock, and build, for what breaks rolling releases"


def own_apps() -> "set[str]":
    """Return the labels of the apps that lie in the working folder."""
    from django.apps import apps

    here = Path.cwd().resolve()
    return {config.label for config in apps.get_app_configs() if Path(config.path).resolve().is_relative_to(here)}


def missing_or_conflicting(own: "set[str]") -> bool:
    """Say what `makemigrations` would do, and whether that is something."""
    from django.core.management import CommandError, call_command

    try:
        call_command("makemigrations", *sorted(own), check_changes=True, dry_run=True, interactive=False, verbosity=1)
    except CommandError as error:
        print(f"conflicting: {error}")
        return True
    except SystemExit as end:
        return bool(end.code)
    return False


def irreversible(own: "set[str]") -> "list[str]":
    """Return the migrations that cannot be undone, with the operation that is to blame."""
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    return [
        f"{app}.{name}: {type(operation).__name__}"
        for (app, name), migration in sorted(loader.disk_migrations.items())
        if app in own
        for operation in migration.operations
        if not operation.reversible
    ]


def unsafe(own: "set[str]") -> bool:
    """Let the linter say what breaks code that still runs, where it is installed."""
    try:
        from django_migration_linter import MigrationLinter
    except ImportError:
        print(f"not checked: rolling releases; {HINT}")
        return False
    linter = MigrationLinter(path=os.getcwd(), include_apps=sorted(own), no_cache=True)
    linter.lint_all_migrations()
    linter.print_summary()
    return bool(linter.has_errors)


def pending() -> "list[Migration]":
    """Return the migrations that the database lacks, but for those of apps that it does not know.

    No code that runs knows the tables of such an app; in an empty database that is every app.
    """
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    known = {app for app, _ in executor.loader.applied_migrations}
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [migration for migration, _ in plan if migration.app_label in known]


def unsafe_for_running_code() -> bool:
    """Let the linter say what of the next `migrate` breaks the code that runs, whoever wrote it."""
    migrations = pending()
    if not migrations:
        return False
    try:
        from django_migration_linter import MigrationLinter
    except ImportError:
        print(f"not checked: {len(migrations)} migrations; {HINT}")
        return False
    linter = MigrationLinter(no_cache=True, quiet=["ok", "ignore"])
    for migration in migrations:
        linter.lint_migration(migration)
    return bool(linter.has_errors)


def main() -> int:
    import django

    sys.path.insert(0, os.getcwd())
    django.setup()
    if sys.argv[1:] == ["--release"]:
        # Python itself ends with 1.
        return UNSAFE if unsafe_for_running_code() else 0
    own = own_apps()
    if not own:
        print("check-migrations: no app of the project is in INSTALLED_APPS", file=sys.stderr)
        return 1
    wrong = missing_or_conflicting(own)
    for one in irreversible(own):
        print(f"cannot be undone: {one}")
    return int(unsafe(own) or wrong)


if __name__ == "__main__":
    sys.exit(main())
