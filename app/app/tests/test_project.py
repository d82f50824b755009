import ast

from conftest import HERE

SOURCES = [path for path in HERE.rglob("*.py") if "staticfiles" not in path.parts]


def test_project_imports_nothing_of_the_suite():
    imported = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            for name in names:
                imported.setdefault(name.partition(".")[0], path)

    assert "django" in imported
    assert not {"berth", "invoke", "nox", "tasks", "noxfile"} & imported.keys()


def test_web_server_starts_without_boto3(run):
    """Half a second of its start; Celery loads it with the first message."""
    process = run("-c", "import sys, app.wsgi, app.urls; print('celery.app' in sys.modules, 'boto3' in sys.modules)")

    assert process.stdout == "True False\n", process.stderr


def test_shared_task_of_any_application_belongs_to_the_project(run):
    """Also in a thread other than the one that imports Celery, as in a request."""
    script = (
        "import threading, app.wsgi\n"
        "from celery import shared_task\n"
        "@shared_task\n"
        "def task(): pass\n"
        "def show(): print(task.app.main, task.app.conf.task_acks_late, hasattr(task, 'delay_on_commit'))\n"
        "thread = threading.Thread(target=show); thread.start(); thread.join()"
    )

    process = run("-c", script)

    assert process.stdout == "app True True\n", process.stderr


def test_worker_knows_the_task(run):
    process = run("-c", "from app.celery import app; app.loader.import_default_modules(); print(*sorted(app.tasks))")

    assert "users.tasks.export_users" in process.stdout.split(), process.stderr


def test_models_and_migrations_agree(db, run):
    process = run("manage.py", "makemigrations", "--check", "--dry-run")

    assert (process.returncode, process.stdout) == (0, "No changes detected\n"), process.stderr


def test_sources_compile_on_the_oldest_python_of_the_locks():
    for path in SOURCES:
        ast.parse(path.read_text(), feature_version=(3, 10))
