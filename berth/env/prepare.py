"""Make sure that a project has a sound `.env` before anything runs."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from invoke import Context

from berth import env, ports, process
from berth.errors import Refused
from berth.project import Project


def check(here: Project) -> env.Env:
    """Return what `.env` says, and hide its secrets in every line from now on.

    :raises Refused: `.env` is missing, cannot be read, or does not fit its template.
    """
    found = variables(here)
    if here.env_file.name != ".env" and not os.environ.get("COMPOSE_ENV_FILES"):
        # The project's own .env is not for Compose; a user types the same in front of `docker compose`.
        os.environ["COMPOSE_ENV_FILES"] = here.env_file.name
        print(f"export COMPOSE_ENV_FILES={here.env_file.name}", file=sys.stderr)
    template = env.parse_template(_template(here))
    if problems := env.problems(found, template):
        raise Refused(env.message(problems))
    compose_files(here)
    process.hide(env.secret_values(found, template))
    return found


def variables(here: Project) -> env.Env:
    """Return what `.env` says, with the process environment above it, as in Compose.

    :raises Refused: `.env` is missing, or cannot be read.
    """
    try:
        return env.read(here.env_file, os.environ)
    except FileNotFoundError:
        raise Refused(f"there is no .env yet: type `{here.command()} up`, which makes it from .env.template") from None


def compose_files(here: Project) -> list[str]:
    """Return the files that Compose reads, as COMPOSE_FILE names them.

    :raises Refused: it names none. Compose would take an empty one for the project's folder.
    """
    name = "COMPOSE_FILE"
    if files := value(here, name):
        return files.split(os.pathsep)
    if name in os.environ:
        raise Refused(f"{name} is empty in the environment, which overrides .env: type `unset {name}`")
    line = variables(here).lines.get(name)
    where = f"is empty: fill in line {line} of .env" if line else "is not set: add it to .env.template and .env"
    raise Refused(f"{name} {where}, as in `{name}=docker/docker-compose.yml`")


def value(here: Project, name: str) -> str:
    """Return what `.env` says of a variable, or an empty text."""
    return variables(here).values.get(name) or os.environ.get(name, "")


def make(here: Project, taken: Callable[[], Collection[str]]) -> None:
    """Make `.env` from the template, with new secrets, a project name and ports of its own, and say so.

    :param taken: returns the Compose projects that there are: with the name of one it would get that one's data.
    :raises Refused: there is no usable template, no port is free, or the folder may not be written.
    """
    said = ["made .env from .env.template, with new secrets; only you can read it"]
    bundle = _ca_bundle()
    if bundle:
        said.append(f"images will be built with your CA bundle {bundle} (BUILD_CA_BUNDLE in .env)")
    template = _template(here)
    named = env.parse(template, {}).values

    makers: dict[str, Callable[[env.Variable], str | int | None]] = {
        "project name": lambda one: _free_name(named.get(one.name) or env.project_name(here.root.name), taken(), said),
        "user id": lambda one: _owner(here)[0] or _unable_to_write(one, said),
        "group id": lambda _: _owner(here)[1],
        "free port": _port_finder(said),
        "ca bundle": lambda _: bundle,
    }
    try:
        env.write_new(here.env_file, env.create(template, makers))
        env.make_ignored(here.state)
    except FileExistsError:
        return  # another task has just made it
    except OSError as error:
        raise Refused(f".env cannot be made in {here.root} ({error.strerror}): let your user write there") from None
    print("\n".join(said), file=sys.stderr)


def keep_out_of_git(c: Context, here: Project) -> None:
    """Have git ignore `.env` in this checkout, and say so, where the project's own .gitignore does not.

    Otherwise a `git add .` would take in its secrets. The project's files stay as they are.
    """
    name = here.env_file.name
    # 0: it is ignored; 128 and 127: there is no repository, or no git.
    if process.capture(c, ["git", "check-ignore", "--quiet", name], cwd=here.root, missing=True).returncode != 1:
        return
    found = process.capture(c, ["git", "rev-parse", "--git-path", "info/exclude"], cwd=here.root)
    exclude = Path(here.root, found.stdout.strip())
    line = f"# The secrets of this checkout, which Berth has made.\n{name}\n"
    try:
        if exclude.exists():
            before = env.read_text(exclude)
            env.replace(exclude, before + "\n" * (before[-1:] not in {"", "\n"}) + line)
        else:
            env.write_new(exclude, line)
    except OSError as error:
        print(f"git would take {name} in ({exclude}: {error.strerror}): write it into .gitignore", file=sys.stderr)
    else:
        print(f"git ignores {name} in this checkout; write it into .gitignore, for others, too", file=sys.stderr)


def separate(here: Project, taken: Callable[[], Collection[str]]) -> Mapping[str, str]:
    """Give `.env` a project name and ports that nobody else uses, and not those that it has; return what was written.

    They are another checkout's, whether that runs or not.

    :param taken: as for `make`.
    :raises Refused: there is no usable template, no port is free, or `.env` may not be written.
    """
    before = env.read_text(here.env_file)
    copied = env.parse(before, {}).values
    template = env.parse_template(_template(here)).values()
    ports_of = {one.name: copied.get(one.name) or one.default for one in template if one.directive == "free port"}
    find = _port_finder([], avoid=(int(port) for port in ports_of.values() if port.isdigit()))
    values: dict[str, str] = {}
    for variable in template:
        if variable.directive == "project name":
            names = {*taken(), copied.get(variable.name, "")}
            values[variable.name] = _free_name(env.project_name(here.root.name), names, [])
        elif variable.directive == "free port":
            values[variable.name] = str(find(variable) or variable.default)
    try:
        env.replace(here.env_file, env.with_values(before, values))
    except OSError as error:
        raise Refused(f".env cannot be written in {here.root} ({error.strerror}): let your user write there") from None
    return values


def _template(here: Project) -> str:
    """Return the text of the template.

    :raises Refused: it is missing, or cannot be read.
    """
    try:
        return env.read_text(here.env_template)
    except FileNotFoundError:
        raise Refused(f"there is no .env.template in {here.root}: it says which variables .env has to hold") from None


def _owner(here: Project) -> tuple[int | None, int | None]:
    """Return the user and the group of the services: ours; as root those of who owns the checkout.

    None is what their image has: no server of ours runs as root.
    """
    owner = here.root.stat()
    uid, gid = (os.getuid(), os.getgid()) if os.getuid() else (owner.st_uid, owner.st_gid)
    return (uid, gid or None) if uid else (None, None)


def _unable_to_write(variable: env.Variable, said: list[str]) -> int | None:
    """Return no user, which leaves that of the image.

    :param said: takes a line for whoever types `up`, as their project may write where that user may not.
    """
    said.append(
        f"you are root: the services run as user {variable.default}, who may write nothing here; where the project "
        f"writes files, type `chown -R {variable.default} FOLDER`, or set {variable.name}=0 in .env"
    )
    return None


def _port_finder(said: list[str], *, avoid: Iterable[int] = ()) -> Callable[[env.Variable], int | None]:
    """Return a function that gives another port where the template's is taken: by a server of the host, or a checkout.

    :param said: takes a line for each of them.
    :param avoid: ports that count as taken.
    """
    given = set(avoid)

    def port(variable: env.Variable) -> int | None:
        wanted = int(variable.default)
        found = ports.free_from(wanted, avoid=given)
        given.add(found)
        if found == wanted:
            return None
        said.append(f"port {wanted} is taken on this machine: {variable.name}={found} in .env")
        return found

    return port


def _free_name(wanted: str, taken: Collection[str], said: list[str]) -> str:
    """Return the Compose project name that is wanted, with a number behind it where another checkout has it.

    :param said: takes a line then.
    """
    names = itertools.chain([wanted], (f"{wanted}-{number}" for number in itertools.count(2)))
    name = next(name for name in names if name not in taken)
    if name != wanted:
        said.append(f"the engine has a project `{wanted}` already; this one is `{name}` (COMPOSE_PROJECT_NAME in .env)")
    return name


def _ca_bundle() -> str | None:
    """Return the CA bundle that this machine's tools are told to use: builds need it just as they do."""
    candidates = (os.environ.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    return next((path for path in candidates if path and os.path.isfile(path)), None)
