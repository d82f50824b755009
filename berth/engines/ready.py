"""Make sure of what a task needs before it starts anything: a sound .env, an engine, a known service."""

from __future__ import annotations

import itertools
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from invoke import Context, Exit

from berth import compose, env, ports, process, project, services
from berth import engine as docker
from berth.project import Project


def environment(c: Context, *, create: bool = False) -> Project:
    """Return the project, with a `.env` that fits its template.

    :param create: make `.env` from the template when there is none, unless in a dry run.
    :raises Exit: `.env` is missing, or has problems; all of them are listed.
    """
    here = project.of(c)
    if not here.env_file.exists():
        if c.config.run.dry or not create:
            raise Exit(f"there is no .env yet: type `{here.command()} up`, which makes it from .env.template")
        _create(c, here)
    try:
        variables, template = _variables(here), env.parse_template(env.read_text(here.env_template))
        found = env.problems(variables, template)
    except env.EnvError as error:
        raise Exit(str(error)) from None
    if found:
        raise Exit(env.message(found))
    process.hide(env.secret_values(variables, template))
    return here


def compose_files(here: Project) -> list[str]:
    """Return the files that Compose reads, as COMPOSE_FILE names them."""
    return _variables(here).values["COMPOSE_FILE"].split(os.pathsep)


def value(here: Project, name: str) -> str:
    """Return what `.env` says of a variable, or an empty text."""
    return _variables(here).values.get(name) or os.environ.get(name, "")


def engine(c: Context) -> None:
    """Make sure that an engine and Compose are there, at no cost where a look at their files tells.

    :raises Exit: no engine answers, or Compose is missing.
    """
    if not files_of_engine():
        tools(c)


def tools(c: Context) -> None:
    """:raises Exit: no engine answers, or it, Compose or buildx is missing or too old."""
    root = project.of(c).root
    answer = process.capture(c, docker.version(), cwd=root)
    if answer.returncode != 0:
        raise Exit(docker.complaint(answer.stderr))
    found = (process.capture(c, line, cwd=root) for line in (compose.version(), docker.buildx_version()))
    complaint = docker.version_complaint(answer.stdout, *(made.stdout * (made.returncode == 0) for made in found))
    if complaint:
        raise Exit(complaint)


def stack(c: Context, names: Sequence[str] = ()) -> services.Stack:
    """Return the services as Compose resolves them.

    :raises Exit: Compose refuses the files, or one of ``names`` is no service.
    """
    answer = process.capture(c, compose.config_json(), cwd=project.of(c).root)
    if answer.returncode != 0:
        tools(c)
        raise Exit(answer.stderr.strip(), code=answer.returncode)
    resolved = services.Stack(answer.stdout)
    try:
        resolved.check(names)
    except services.Unknown as error:
        raise Exit(str(error)) from None
    return resolved


def consent(stack: services.Stack, database: str, here: Project) -> None:
    """Ask whether the application's database may be deleted.

    :param database: the service that holds it.
    :raises Exit: the answer is not yes, or nobody is there to answer.
    """
    if not sys.stdin.isatty():
        raise Exit(f"`reset-db` deletes data and nobody is there to ask: type `{here.command()} reset-db --yes`")
    name = stack.environment(database).get("DB_NAME", "")
    try:
        answer = input(
            f"Delete the database `{name}` of the project {stack.project_name}, with everything in it? [y/N] "
        )
    except (EOFError, KeyboardInterrupt):
        print(file=sys.stderr)
        raise Exit("nothing was deleted", code=process.INTERRUPTED) from None
    if answer.strip().lower() not in {"y", "yes"}:
        raise Exit("nothing was deleted", code=1)


def services_named(c: Context, here: Project, names: Sequence[str]) -> None:
    """Make sure that services of these names are there, without asking Compose where its files plainly have them.

    :raises Exit: Compose refuses the files, or one of ``names`` is no service.
    """
    files = (here.root / file for file in compose_files(here))
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()]
    if not all(any(services.mentions(text, name) for text in texts) for name in names):
        stack(c, names)


def role(stack: services.Stack, role: str) -> str:
    """Return the service with that role. :raises Exit: there is none, or more than one."""
    try:
        return stack.with_role(role)
    except services.Unknown as error:
        raise Exit(str(error)) from None


def containers(c: Context, env: Mapping[str, str] | None = None) -> list[services.Container]:
    """Return the containers of the project, stopped ones too.

    :param env: the variables that the project was started with, on top of our own.
    """
    answer = process.capture(c, compose.ps_json(), cwd=project.of(c).root, env=env)
    if answer.returncode != 0:
        raise Exit(answer.stderr.strip(), code=answer.returncode)
    return services.containers(answer.stdout)


def run_in(c: Context, service: str, command: Sequence[str], *, user: str | None = None) -> None:
    """Run a command in a running container; a signal that ends us ends it, too.

    :param user: whom to run it as, instead of the service's user.
    :raises Exit: the command failed.
    """

    def relay(name: str, seconds: float) -> list[str]:
        return compose.signal_exec(service, command, signal=name, seconds=seconds, user=user)

    line = compose.exec_(service, command, terminal=process.is_terminal(), user=user)
    process.run(c, line, cwd=project.of(c).root, relay=relay)


def files_of_engine() -> bool:
    """Tell whether the engine's socket takes connections, and Compose's file is there."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        config = (folder / "config.json").read_text(encoding="utf-8")
    except OSError:
        config = ""
    path = docker.socket(os.environ, config)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        if path is None or probe.connect_ex(path) != 0:
            return False
    return any(plugin.exists() for plugin in docker.compose_plugins(folder))


def _variables(here: Project) -> env.Env:
    return env.read(here.env_file, os.environ)


def _create(c: Context, here: Project) -> None:
    bundle = _ca_bundle()
    said = ["made .env from .env.template, with new secrets; only you can read it"]
    if bundle:
        said.append(f"images will be built with your CA bundle {bundle} (BUILD_CA_BUNDLE in .env)")
    given: set[int] = set()

    def port(variable: env.Variable) -> int | None:
        """Choose another port where the template's is taken: by a PostgreSQL of the host, or another checkout."""
        wanted = int(variable.default)
        found = ports.free_from(wanted, avoid=given)
        given.add(found)
        if found == wanted:
            return None
        said.append(f"port {wanted} is taken on this machine: {variable.name}={found} in .env")
        return found

    generate = env.generator(
        folder=_project_name(c, here, said),
        # As root the services keep the user of their image: no server of ours runs as root.
        user_id=os.getuid() or None,
        group_id=os.getgid() if os.getuid() else None,
        ca_bundle=bundle,
        port=port,
    )
    try:
        env.write_new(here.env_file, env.create(env.read_text(here.env_template), generate))
    except FileNotFoundError:
        raise Exit(f"there is no .env.template in {here.root}: it says which variables .env has to hold") from None
    except (env.EnvError, ports.AllTaken) as error:
        raise Exit(str(error)) from None
    except FileExistsError:
        return  # another task has just made it
    print("\n".join(said), file=sys.stderr)


def _project_name(c: Context, here: Project, said: list[str]) -> str:
    """Return a Compose project name that no other checkout has: with its name it would get the other's data.

    :param said: takes a line if it is not the folder's.
    """
    taken: set[str] = set()
    for kind in ("container", "volume"):
        # Without an engine there is nothing that could be mixed up.
        taken |= set(process.capture(c, docker.project_names(kind), cwd=here.root, missing=True).stdout.split())
    wanted = env.project_name(here.root.name)
    names = itertools.chain([wanted], (f"{wanted}-{number}" for number in itertools.count(2)))
    name = next(name for name in names if name not in taken)
    if name != wanted:
        said.append(f"the engine has a project `{wanted}` already; this one is `{name}` (COMPOSE_PROJECT_NAME in .env)")
    return name


def _ca_bundle() -> str | None:
    """Return the CA bundle that this machine's tools are told to use: builds need it just as they do."""
    candidates = (os.environ.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    return next((path for path in candidates if path and os.path.isfile(path)), None)
