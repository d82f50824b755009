"""Make sure that a project has a sound `.env` before anything runs."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Collection, Mapping

from berth import env, ports, process
from berth.errors import Refused
from berth.project import Project


def check(here: Project) -> env.Env:
    """Return what `.env` says, and hide its secrets in every line from now on.

    :raises Refused: `.env` is missing, or does not fit its template; all problems are listed.
    """
    if not here.env_file.exists():
        raise Refused(f"there is no .env yet: type `{here.command()} up`, which makes it from .env.template")
    found, template = variables(here), env.parse_template(env.read_text(here.env_template))
    if problems := env.problems(found, template):
        raise Refused(env.message(problems))
    process.hide(env.secret_values(found, template))
    return found


def variables(here: Project) -> env.Env:
    """Return what `.env` says, with the process environment above it, as in Compose."""
    return env.read(here.env_file, os.environ)


def compose_files(here: Project) -> list[str]:
    """Return the files that Compose reads, as COMPOSE_FILE names them."""
    return variables(here).values["COMPOSE_FILE"].split(os.pathsep)


def value(here: Project, name: str) -> str:
    """Return what `.env` says of a variable, or an empty text."""
    return variables(here).values.get(name) or os.environ.get(name, "")


def make(here: Project, taken: Callable[[], Collection[str]]) -> None:
    """Make `.env` from the template, with new secrets, a project name and ports of its own, and say so.

    :param taken: returns the Compose projects that there are: with the name of one it would get that one's data.
    :raises Refused: there is no usable template, or no port is free.
    """
    said = ["made .env from .env.template, with new secrets; only you can read it"]
    bundle = _ca_bundle()
    if bundle:
        said.append(f"images will be built with your CA bundle {bundle} (BUILD_CA_BUNDLE in .env)")
    generate = env.generator(
        folder=_project_name(here, taken(), said),
        # As root the services keep the user of their image: no server of ours runs as root.
        user_id=os.getuid() or None,
        group_id=os.getgid() if os.getuid() else None,
        ca_bundle=bundle,
        port=_port_finder(said),
    )
    try:
        env.write_new(here.env_file, env.create(env.read_text(here.env_template), generate))
    except FileNotFoundError:
        raise Refused(f"there is no .env.template in {here.root}: it says which variables .env has to hold") from None
    except FileExistsError:
        return  # another task has just made it
    print("\n".join(said), file=sys.stderr)


def separate(here: Project, taken: Callable[[], Collection[str]]) -> Mapping[str, str]:
    """Give `.env` a project name and ports that nobody else uses; return what was written.

    :param taken: as for `make`.
    :raises Refused: there is no usable template, or no port is free.
    """
    template = env.parse_template(env.read_text(here.env_template))
    find = _port_finder([])
    values: dict[str, str] = {}
    for variable in template.values():
        if variable.directive == "project name":
            values[variable.name] = _project_name(here, taken(), [])
        elif variable.directive == "free port":
            values[variable.name] = str(find(variable) or variable.default)
    env.replace(here.env_file, env.with_values(env.read_text(here.env_file), values))
    return values


def _port_finder(said: list[str]) -> Callable[[env.Variable], int | None]:
    """Return a function that gives another port where the template's is taken: by a server of the host, or a checkout.

    :param said: takes a line for each of them.
    """
    given: set[int] = set()

    def port(variable: env.Variable) -> int | None:
        wanted = int(variable.default)
        found = ports.free_from(wanted, avoid=given)
        given.add(found)
        if found == wanted:
            return None
        said.append(f"port {wanted} is taken on this machine: {variable.name}={found} in .env")
        return found

    return port


def _project_name(here: Project, taken: Collection[str], said: list[str]) -> str:
    """Return a Compose project name that no other checkout has.

    :param said: takes a line if it is not the folder's.
    """
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
