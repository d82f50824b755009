"""The checks of this repository: `./inv check` runs them all, `nox -l` lists them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import nox

# The `berth` of this checkout, whichever nox reads this file.
sys.path.insert(0, str(Path(__file__).parent))

from berth import env
from berth.sessions import migrations, test_in_container

__all__ = [
    "kubernetes_proof",
    "lint",
    "lock",
    "migrations",
    "prod_proof",
    "test",
    "test_django",
    "test_in_container",
    "test_swarm",
    "types",
]

nox.needs_version = ">=2026"
# The fast ones first.
nox.options.sessions = ["lint", "types", "test", "test-swarm", "test-django", "test-in-container"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True

# What the tests of containers do most of the time is wait.
SIDE_BY_SIDE = ("--numprocesses=2", "--dist=loadfile")
# It would break the networks of the others' containers.
SWARM = "tests/containers/test_swarm.py"

# The files of direct requirements, each behind those whose locks constrain it; NAME.txt beside it is its lock.
PROJECT = [
    f"requirements/{name}.in" for name in ("build", "base", "prod", "test", "dev", "dev-django-6.1", "telemetry")
]
PARTS = [
    *(f"berth/engines/embedded/locks/{name}.in" for name in ("embedded", "embedded-moto")),
    "berth/base_images/recipes/elasticmq/requirements.in",
    *(str(path) for path in sorted(Path("berth/init/files/locks").glob("*.in"))),
]
# What goes into `locks/NAME.txt` beside what Berth needs: dependency groups of pyproject.toml. The tests of the suite
# try the scripts of the images, too, on the packages and versions that the project has.
BERTH = "berth"
GROUPS = {
    BERTH: (),
    "lint": ("--group=lint", f"--constraint=locks/{BERTH}.txt"),
    "suite": (
        *("--group=suite", *(f"requirements/{name}.in" for name in ("prod", "test", "telemetry"))),
        *(f"--constraint=requirements/{name}.txt" for name in ("prod", "test", "dev")),
        f"--constraint=locks/{BERTH}.txt",
    ),
}


def install(session: nox.Session, lock: str) -> None:
    """Install locked requirements."""
    session.install("--quiet", "--require-hashes", "--requirement", lock)


@nox.session
def lint(session: nox.Session) -> None:
    """Run the linters of .pre-commit-config.yaml."""
    install(session, "locks/lint.txt")
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types."""
    install(session, "locks/lint.txt")
    session.run("mypy", *session.posargs)


@nox.session
def test(session: nox.Session) -> None:
    """Test the suite on the host, but for Swarm; `-- --numprocesses=0` runs all tests in one process."""
    install(session, "locks/suite.txt")
    session.run("pytest", *SIDE_BY_SIDE, f"--ignore={SWARM}", "--junitxml=reports/junit-suite.xml", *session.posargs)


@nox.session(name="test-swarm")
def test_swarm(session: nox.Session) -> None:
    """Test Docker Swarm. An engine that leaves a swarm resolves no more names in the networks that it had before."""
    install(session, "locks/suite.txt")
    session.run("pytest", SWARM, "--junitxml=reports/junit-swarm.xml", *session.posargs)


def on_this_host(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which the project reaches, from the host, the services that `inv up` publishes.

    :param variables: what `.env` says.
    """
    broker = f"127.0.0.1:{variables.get('BROKER_PUBLISHED_PORT') or 9324}"
    return {
        **variables,
        "DB_HOST": "127.0.0.1",
        "DB_PORT": variables.get("DB_PUBLISHED_PORT") or "5432",
        "CELERY_BROKER_URL": f"sqs://{broker}",
        "SQS_QUEUE_URLS": f"default=http://{broker}/000000000000/default",
    }


@nox.session(name="test-django")
def test_django(session: nox.Session) -> None:
    """Test the Django project on the host, against the services that `inv up` publishes; what is down is skipped."""
    for lock in ("prod", "test"):
        install(session, f"requirements/{lock}.txt")
    file, report = Path(".env"), Path("reports/junit-host.xml").absolute()
    variables = env.read(file, {}).values if file.exists() else {}
    session.chdir("app")
    session.run("pytest", f"--junitxml={report}", *session.posargs, env=on_this_host(variables) if variables else {})


@nox.session(name="kubernetes-proof", default=False)
def kubernetes_proof(session: nox.Session) -> None:
    """Deploy to a real Kubernetes of one node, under load; as root, where `.ci/engine` has run."""
    install(session, "locks/suite.txt")
    session.run("pytest", "--junitxml=reports/junit-kubernetes.xml", ".ci/kubernetes", *session.posargs)


@nox.session(name="prod-proof", default=False)
def prod_proof(session: nox.Session) -> None:
    """Prove the image that is shipped: its release, trial, contents and stop, with 20 stops under load instead of 3."""
    install(session, "locks/lint.txt")
    for hook in ("hadolint", "compose-schema"):
        session.run("pre-commit", "run", "--all-files", hook)
    install(session, "locks/suite.txt")
    files = [f"tests/containers/test_{name}.py" for name in ("images", "prod", "drain", "stop")]
    session.run(
        *("pytest", "--junitxml=reports/junit-prod-proof.xml", *files, *session.posargs),
        env={"BERTH_REQUIRE_ENGINE": "1", "BERTH_STOP_ROUNDS": "20"},
    )


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Lock the requirements anew; `nox -s lock -- --upgrade` takes newer versions."""
    install(session, "requirements/build.txt")
    for source in map(Path, PROJECT):
        lock_file(session, source)
    for name, words in GROUPS.items():
        compile_lock(session, f"locks/{name}.txt", "pyproject.toml", *words)
    for source in map(Path, PARTS):
        lock_file(session, source)


def lock_file(session: nox.Session, source: Path) -> None:
    """Lock a file of direct requirements."""
    name = source.name.removesuffix(".in")
    # The least Python of Django 6.1, which only lives in an image.
    python = "3.12" if name.endswith("django-6.1") else "3.10"
    # What goes into the images of any project, on the least Python that the scripts of the images run on.
    python = "3.9" if source.is_relative_to("berth/init") else python
    # A lock names its sources as they are called from the folder of this command.
    with session.chdir(source.parent):
        override = ["--override", f"{name}.override"] if Path(f"{name}.override").exists() else []
        compile_lock(session, f"{name}.txt", source.name, *override, python=python)


def compile_lock(session: nox.Session, output: str, *words: str, python: str = "3.10") -> None:
    """Lock requirements for this Python and all newer ones."""
    options = ("--quiet", "--universal", "--generate-hashes", "--no-emit-index-url")
    header = "--custom-compile-command=nox -s lock"
    session.run(
        *("uv", "pip", "compile", *options, header, "--python-version", python, *session.posargs),
        *(*words, "--output-file", output),
    )
