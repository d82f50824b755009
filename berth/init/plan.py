"""What Berth has decided about a project: all that its files are written from.

`berth.init.decide` makes a Plan, and nothing else does. What is written from it:

- ``berth.init.image.files(plan) -> dict[str, str]``: the Dockerfile, its ignore file and the scripts of the images, by
  path below the project's root; a text that starts with ``#!`` becomes executable.
- of a `Service` of the kinds `redis` and `rabbitmq`: ``berth.init.services.block(service, plan) -> str``, its compose
  block, indented by two spaces; ``...files(service, plan) -> dict[str, str]``, what that mounts; and
  ``...paragraphs(service, plan) -> dict[str, str]``, its part of `.env.template` by section, `Ports` and `Images` or
  another that is added.

Inside the containers the whole repository is at `CODE`, and the working directory is ``plan.workdir``, that of
manage.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

CODE = PurePosixPath("/home/web/code")
"""Where images and services have the repository's root."""

Format = Literal["uv", "poetry", "pipenv", "requirements", "pyproject"]
ServiceKind = Literal["db", "redis", "rabbitmq", "sqs"]


@dataclass(frozen=True)
class Install:
    """How the project's own packages are installed: by its own tool, from its own files, which nothing changes.

    :param folder: of the files below the repository's root, `.` for the root itself.
    :param files: all that the tool reads, below the repository's root: the lock first, or the requirements file that is
        installed; then what that names by `-r` and `-c`, pyproject.toml, README and what else a build needs.
    :param groups: dependency groups that are installed besides the project's default ones.
    :param extras: optional dependencies, likewise.
    :param hashed: the requirements have hashes, and are checked.
    :param installs_tree: the project is a package, and its own code is to be importable as one (editable, no
        dependencies).
    :param dev_files: requirements files of the development image only, on top of ``files[0]``: the one that is
        installed, then what it names.
    :param ours: requirements that Berth adds, such as `gunicorn`; none replaces one of the project's.
    """

    format: Format
    folder: str
    files: tuple[str, ...]
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    hashed: bool = False
    installs_tree: bool = False
    dev_files: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """A server that the project needs.

    :param name: of the compose service, and its host name.
    :param image: the default of its `..._IMAGE` variable.
    :param extensions: of a database: what its migrations need and the owner may not make by itself.
    :param aliases: other host names under which the project's files know it.
    :param volatile: it is a cache only: nothing is kept.
    """

    kind: ServiceKind
    name: str
    image: str
    extensions: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    volatile: bool = False


@dataclass(frozen=True)
class Worker:
    """A process of the project beside its web server.

    :param name: of the compose service.
    :param kind: celery: a Celery worker, run by start-celery-worker.sh; beat: Celery's scheduler, run by
        start-celery-beat.sh; other: ``command``.
    :param command: the words of it; of a Celery worker its queues, () for those that the project declares; of beat the
        options behind `celery beat`.
    :param why: where it was found.
    """

    name: str
    kind: Literal["celery", "beat", "other"]
    command: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Variable:
    """A variable of the services' environment.

    :param name: as the project reads it.
    :param compose: its value in the compose file, where `${...}` refers to `.env`; None: passed on when `.env` sets it.
    :param value: its line in `.env.template`; None: no line, as all is said by ``compose``.
    :param optional: that line is a comment.
    :param directive: what `inv up` makes of it, as `secret`; see berth/env/template.py.
    :param build: its value while static files are collected in the build of an image; None: unset then.
    :param why: one sentence for `.env.template`.
    """

    name: str
    compose: str | None = None
    value: str | None = None
    optional: bool = False
    directive: str = ""
    build: str | None = None
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """All that was decided.

    :param name: of the project, for Compose.
    :param folder: that Berth's docker files go to: `docker`, or another where the project has one of that name.
    :param tasks: `tasks.py`, or another name where the project has that.
    :param env_template: the manual of the variables; `.env.template`, unless the project has one.
    :param env_file: what it becomes: `.env`, unless the project has that in git.
    :param django: folder of manage.py below the root, `.` for the root.
    :param manage: the file itself, below ``django``.
    :param import_paths: folders below the root that its packages are imported from, ``django`` apart.
    :param settings: settings module of the development services.
    :param prod_settings: settings module of the shipped image.
    :param base_settings: the module that a new `berth_settings.py` imports; "" when none is written.
    :param configuration: DJANGO_CONFIGURATION; "" without django-configurations.
    :param python: of the images, as `3.13`.
    :param debian: packages from Debian that the project's own Dockerfile or CI installs, the -dev ones among them.
    :param celery_app: what `celery -A` gets; "" without Celery.
    :param static_root: STATIC_ROOT of the production settings is set; then static files are collected by the build.
    :param whitenoise: the project serves its static files by whitenoise.
    :param health_path: must answer 200.
    :param health_host: that ALLOWED_HOSTS names, where it does not name localhost; "" otherwise.
    :param health_candidates: paths to try for it, the most probable first.
    :param database: postgresql, or sqlite for a project that keeps it.
    :param driver: `psycopg` or `psycopg2`, as imported; "" for none.
    :param db_name: of the database; a name that the settings insist on, or the project's.
    :param db_user: its owner, likewise.
    :param backend: Django's backend that ENGINE is to be, after all settings were read.
    :param local_redis: our settings module leads what looks for Redis at localhost to the service.
    :param keyless: their settings have no SECRET_KEY, which a file outside git sets; ours then reads a variable.
    :param remarks: what the user is told at the end: what was left out, and why.
    """

    name: str
    folder: str
    tasks: str
    env_template: str
    env_file: str
    django: str
    manage: str
    import_paths: tuple[str, ...]
    settings: str
    prod_settings: str
    base_settings: str
    configuration: str
    wsgi: str
    asgi: str
    serve_asgi: bool
    python: str
    install: Install
    debian: tuple[str, ...]
    services: tuple[Service, ...]
    workers: tuple[Worker, ...]
    celery_app: str
    variables: tuple[Variable, ...]
    static_root: bool
    whitenoise: bool
    health_path: str
    health_candidates: tuple[str, ...]
    database: Literal["postgresql", "sqlite"]
    driver: str
    db_name: str
    db_user: str
    backend: str
    remarks: tuple[str, ...] = ()
    health_host: str = ""
    local_redis: bool = False
    keyless: bool = False

    @property
    def workdir(self) -> PurePosixPath:
        """Where commands run inside the containers."""
        return CODE / self.django

    def service(self, kind: ServiceKind) -> Service | None:
        """Return the service of that kind, or None."""
        return next((each for each in self.services if each.kind == kind), None)

    def path(self, name: str) -> str:
        """Return a path below the folder for docker files, as `docker/app/Dockerfile`."""
        return f"{self.folder}/{name}"
