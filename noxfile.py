"""The checks: `nox` runs them all, `nox -l` lists them. nox checks the code, `inv` drives the stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2026"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True

INV = "./inv" if Path("inv").exists() else "inv"
# Clean-up of a stack takes a while; nox would kill it after a fraction of a second.
CLEAN_UP_SECONDS = 120.0
# The files of direct requirements, each behind those whose locks constrain it.
SOURCES = [
    *(
        f"requirements/{name}.in"
        for name in ("build", "base", "prod", "test", "berth", "dev", "dev-django-6.1", "lint", "suite", "embedded")
    ),
    "docker/base-images/elasticmq/requirements.in",
]


def install(session: nox.Session, *locks: str) -> None:
    """Install locked requirements."""
    for lock in locks:
        session.install("--quiet", "--require-hashes", "--requirement", f"requirements/{lock}.txt")


def engine_answers() -> bool:
    """Tell whether there is an engine; the `docker` client alone may be installed without one."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "version"], capture_output=True).returncode == 0


@nox.session
def lint(session: nox.Session) -> None:
    """Run the linters of .pre-commit-config.yaml."""
    install(session, "lint")
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types."""
    install(session, "lint")
    session.run("mypy", *session.posargs)


@nox.session
def test(session: nox.Session) -> None:
    """Test the suite on the host."""
    install(session, "suite")
    session.run("pytest", "--junitxml=reports/junit-suite.xml", *session.posargs)


@nox.session(name="test-django")
def test_django(session: nox.Session) -> None:
    """Test the Django project on the host, against the services that `inv up` publishes; what is down is skipped."""
    install(session, "suite")
    variables: dict[str, str] = {}
    if Path(".env").exists():
        listed = session.run("dotenv", "--file", ".env", "list", "--format", "json", silent=True)
        variables = json.loads(str(listed))
    broker = f"127.0.0.1:{variables.get('BROKER_PUBLISHED_PORT', 9324)}"
    services = {
        "DB_HOST": "127.0.0.1",
        "DB_PORT": variables.get("DB_PUBLISHED_PORT", "5432"),
        "CELERY_BROKER_URL": f"sqs://{broker}",
        "SQS_QUEUE_URLS": f"default=http://{broker}/000000000000/default",
    }
    report = f"--junitxml={Path('reports/junit-host.xml').absolute()}"
    session.chdir(variables.get("DJANGO_FOLDER", "app"))
    session.run("pytest", report, *session.posargs, env={**variables, **services} if variables else {})


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Lock the requirements anew; `nox -s lock -- --upgrade` takes newer versions."""
    install(session, "build")
    options = ["--quiet", "--universal", "--generate-hashes", "--no-emit-index-url"]
    for source in map(Path, SOURCES):
        name = source.name.removesuffix(".in")
        # The least Python of Django 6.1, which only lives in an image.
        python = "3.12" if name.endswith("django-6.1") else "3.10"
        # A lock names its sources as they are called from the folder of this command.
        with session.chdir(source.parent):
            override = ["--override", f"{name}.override"] if Path(f"{name}.override").exists() else []
            session.run(
                *("uv", "pip", "compile", *options, "--custom-compile-command=nox -s lock"),
                *("--python-version", python, *override, *session.posargs),
                *(source.name, "--output-file", f"{name}.txt"),
            )


@nox.session(name="test-in-container", venv_backend="none")
@nox.parametrize("image", ["dev", "test", "dev-django-6.1"])
def test_in_container(session: nox.Session, image: str) -> None:
    """Test the Django project inside a built image: the locked Django's (5.2) and another's."""
    if os.environ.get("BERTH_REQUIRE_ENGINE") != "1" and not engine_answers():
        session.skip("no Docker engine answers")
    session.run(
        INV,
        "test-in-container",
        f"--image={image}",
        "--",
        *session.posargs,
        external=True,
        interrupt_timeout=CLEAN_UP_SECONDS,
        terminate_timeout=CLEAN_UP_SECONDS,
    )
