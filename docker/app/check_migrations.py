#!/opt/venv/bin/python
"""Check the migrations of the Django project in the working folder.

Found are changes of models that no migration makes, migrations of one app that follow the same one, and those that
cannot be undone; where django-migration-linter is installed also what breaks the code that still runs while a new
release is rolled out. Ends with 1 when one of them is found, but for what cannot be undone, which is only told.

usage: check-migrations                 the above
       check-migrations --release       only what breaks running code, of the migrations that the database lacks: 3
       check-migrations try DATABASE    migrate that database, a copy which may be spoilt, then back, and once more
"""

import os
import sys
import time
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


def schema() -> "dict[str, set[tuple[object, ...]]]":
    """Return each table, view and sequence with its columns, indexes and constraints, as the database knows them."""
    from django.db import connection

    questions = (
        "SELECT pg_class.oid::regclass::text, 'is there' FROM pg_class "
        "WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND {}",
        "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, "
        "pg_get_expr(adbin, adrelid) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
        "WHERE relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped AND {}",
        "SELECT indrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
        "JOIN pg_class ON pg_class.oid = indrelid WHERE {}",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(pg_constraint.oid) FROM pg_constraint "
        "JOIN pg_class ON pg_class.oid = conrelid WHERE {}",
    )
    ours = "relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
    found: dict[str, set[tuple[object, ...]]] = {}
    with connection.cursor() as cursor:
        for question in questions:
            cursor.execute(question.format(ours))
            for table, *rest in cursor.fetchall():
                found.setdefault(table, set()).add(tuple(rest))
    return found


def differences(before: "dict[str, set[tuple[object, ...]]]") -> "list[str]":
    """Say which tables are not as they were."""
    now = schema()
    said = []
    for table in sorted({*before, *now}):
        for sign, rows in (
            ("lost", before.get(table, set()) - now.get(table, set())),
            ("left", now.get(table, set()) - before.get(table, set())),
        ):
            said += [f"{table}: {sign} {' '.join(map(str, row))}" for row in sorted(rows, key=str)]
    return said


def way_back(applied: "set[tuple[str, str]]", fresh: "set[tuple[str, str]]") -> "list[tuple[str, str | None]]":
    """Return where each app has to go so that only what was applied remains."""
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    graph = MigrationLoader(connection).graph
    targets: list[tuple[str, str | None]] = []
    for app in sorted({app for app, _ in fresh}):
        kept = {node for node in graph.nodes if node[0] == app and node in applied}
        parents = {parent.key for node in kept for parent in graph.node_map[node].parents}
        targets += sorted(kept - parents) or [(app, None)]
    return targets


def try_both_ways() -> int:
    """Migrate forward, back, and forward again; tell how long each took, and what is not as it was."""
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.exceptions import IrreversibleError
    from django.db.migrations.executor import MigrationExecutor
    from django.db.migrations.recorder import MigrationRecorder

    recorder = MigrationRecorder(connection)
    applied, before = {*recorder.applied_migrations()}, schema()
    started = time.monotonic()
    call_command("migrate", interactive=False, verbosity=1)
    fresh = {*recorder.applied_migrations()} - applied
    if not fresh:
        print("nothing to try: all migrations of the code are in that database; name a snapshot from before them")
        return 0
    print(f"forward: {len(fresh)} migrations in {time.monotonic() - started:.1f} s")
    started = time.monotonic()
    try:
        MigrationExecutor(connection).migrate(way_back(applied, fresh))
    except IrreversibleError as error:
        print(f"cannot be undone: {error}")
        return 1
    print(f"back: in {time.monotonic() - started:.1f} s")
    if wrong := differences(before):
        print("not as before:", *wrong, sep="\n  ")
        return 1
    started = time.monotonic()
    call_command("migrate", interactive=False, verbosity=0)
    print(f"forward again: in {time.monotonic() - started:.1f} s")
    return 0


def take_database(name: str) -> None:
    """Let this process work in another database on the same server, whatever the settings read."""
    from django.db import connection

    connection.settings_dict["NAME"] = name
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        (found,) = cursor.fetchone()
    if found != name:
        raise SystemExit(f"check-migrations: the settings lead into the database `{found}` whatever is asked for")


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
    if sys.argv[1:2] == ["try"] and len(sys.argv) == 3:
        take_database(sys.argv[2])
        return try_both_ways()
    if sys.argv[1:]:
        print((__doc__ or "").partition("usage: ")[2], file=sys.stderr)
        return 64
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
