"""Decide about a project: from facts and answers alone, so that the same ones always give the same plan."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from berth.errors import Refused
from berth.init import answers as asked
from berth.init import databases, installing, python_choice, serving, variables
from berth.init.databases import Choice
from berth.init.plan import Plan
from berth.init.reading import place, table, text, version, words
from berth.init.state import FOLDERS
from berth.inspect import Facts
from berth.project import TASKS

Names = Mapping[str, str] | None
NO_PAGE = re.compile(r"^/ws/|metrics|nginx|uwsgi|[{}$]")
"""What a probe of theirs asks a web socket or another server for."""
LIKELY_PATHS = ("/admin/login/", "/", "/accounts/login/", "/login/", "/api/")


def decide(facts: Facts, answers: Mapping[str, str], paths: Collection[str], name: str, names: Names = None) -> Plan:
    """Return the plan for a project.

    :param answers: by the names of `berth.init.answers.KNOWN`.
    :param paths: of the project's files, with slashes, below its root.
    :param name: of the project for Compose; ``names`` are those of what Berth writes, where an earlier run chose them.
    :raises Unanswered: the facts leave something open, and there is no answer.
    :raises Refused: Berth cannot run the project; the message says why, and what to do.
    """
    manage = _manage(facts)
    _check(facts)
    database = databases.decide(facts, answers)
    served = serving.decide(facts, database)
    own_settings = database.rung == "settings"
    keyless = own_settings and facts.get("setting.SECRET_KEY") is None
    found, remarks = variables.decide(facts, answers, (*database.variables, *served.variables), keyless)
    candidates = _health(facts, answers)
    folder = manage.rpartition("/")[0] or "."
    return Plan(
        name=name,
        **(names or _names(paths)),
        django=folder,
        manage="manage.py" if folder == "." else manage[len(folder) + 1 :],
        import_paths=_import_paths(paths, folder),
        local_redis=own_settings and any(table(facts.value(name)).get("local") for name in ("caches", "channels")),
        keyless=keyless,
        **_modules(facts, _settings(facts, answers), own_settings),
        configuration=text(facts.value("django_configuration")),
        wsgi=text(facts.value("wsgi")),
        asgi=text(facts.value("asgi")),
        serve_asgi=_serve_asgi(facts),
        python=python_choice.decide(facts, answers),
        install=installing.decide(facts, answers, paths, _ours(facts, database)),
        debian=words(facts.value("system_packages")),
        services=served.services,
        workers=served.workers,
        celery_app=served.celery_app,
        variables=found,
        static_root=bool(table(facts.value("setting.STATIC_ROOT"))),
        whitenoise=bool(facts.value("whitenoise")),
        health_path=candidates[0],
        health_candidates=candidates,
        health_host=answers.get("health_host", ""),
        database=database.kind,
        driver=database.driver,
        db_name=database.name or _identifier(name),
        db_user=database.user or _identifier(name),
        backend=database.backend,
        remarks=(*_remarks(facts), *database.remarks, *served.remarks, *remarks),
    )


def _serve_asgi(facts: Facts) -> bool:
    """Return whether the shipped image serves ASGI: the project has nothing else, has channels, or does so itself."""
    server = facts.get("server")
    does_so = server is not None and server.certainty != "guess" and table(server.value).get("interface") == "asgi"
    return bool(facts.value("asgi")) and (not facts.value("wsgi") or bool(facts.get("channels")) or does_so)


def _ours(facts: Facts, database: Choice) -> tuple[str, ...]:
    """Return what the project lacks, gunicorn apart."""
    return ((database.ours,) if database.ours else ()) + ("uvicorn-worker",) * _serve_asgi(facts)


def _modules(facts: Facts, settings: str, own: bool) -> dict[str, str]:
    """Return the settings modules: of development, of production, and that which one of ours imports.

    The image that is shipped has the project's own for production, unless they are those whose database ours replaces.

    :raises Refused: no file beside the settings can change their database.
    """
    if own and facts.value("django_configuration"):
        raise Refused(
            f"cannot, because {settings} holds classes (django-configurations), which no file beside it can "
            "extend: let DATABASES of that class read DB_NAME, DB_USER, DB_PASSWORD and DB_HOST from the environment"
        )
    production = text(facts.value("settings.production")) or settings
    return {
        "settings": "berth_settings" if own else settings,
        "prod_settings": "berth_settings" if own and production == settings else production,
        "base_settings": settings if own else "",
    }


def _check(facts: Facts) -> None:
    """:raises Refused: the settings cannot be read as they are."""
    _check_examples(facts)
    _check_readable(facts)


def _check_examples(facts: Facts) -> None:
    """:raises Refused: the project does not start without a file that is made from an example."""
    for fact in facts:
        value = table(fact.value) if fact.name == "settings.example" else {}
        if wanted := text(value.get("wanted_at")):
            raise Refused(
                f"cannot, because {wanted} imports {value['becomes']}, which is not there: type "
                f"`cp {value['file']} {value['becomes']}`, fill it in, and type `berth init` again"
            )


def _check_readable(facts: Facts) -> None:
    """:raises Refused: the settings are in a Python that is newer than the one that reads them."""
    names = [str(facts.value(f"settings.{each}") or "").replace(".", "/") for each in ("development", "production")]
    for fact in facts:
        stem = fact.origin.file.removesuffix(".py").removesuffix("/__init__")
        is_unread = fact.name == "problem" and str(fact.value).startswith("is no Python")
        if is_unread and any(stem.endswith(name) for name in names if name):
            raise Refused(
                f"cannot, because {fact.origin} {fact.value}: install Berth with the Python of the project, as in "
                "`uv tool install --python 3.14`"
            )


def questions(facts: Facts) -> list[asked.Question]:
    """Return what has to be known before anything else, because all facts depend on it: which manage.py it is."""
    fact = facts.get("manage")
    if fact is None or fact.certainty != "guess" or not fact.alternatives:
        return []
    choices = (str(fact.value), *(str(each.value) for each in fact.alternatives))
    return [asked.Question("manage", "Which manage.py is the project's?", choices[0], fact.why, choices)]


def _manage(facts: Facts) -> str:
    fact = facts.get("manage")
    if fact is None or not fact.value:
        raise Refused("cannot, because there is no manage.py: change to the folder of a Django project")
    return str(fact.value)


def _settings(facts: Facts, answers: Mapping[str, str]) -> str:
    if given := answers.get("settings"):
        return given
    fact = facts.get("settings.development")
    if fact is None or not fact.value:
        raise Refused(
            f"cannot, because {place(facts.get('manage'))} names no settings module: type "
            "`berth init --answer settings=MODULE`"
        )
    return str(fact.value)


def _health(facts: Facts, answers: Mapping[str, str]) -> tuple[str, ...]:
    found: list[str] = [answers["health_path"]] if answers.get("health_path") else []
    fact = facts.get("probe")
    if fact is not None and fact.value:
        found += [str(fact.value), *(str(each.value) for each in fact.alternatives)]
    plain = [each for each in found if each.startswith("/") and not NO_PAGE.search(each)]
    return tuple(dict.fromkeys((*plain, *LIKELY_PATHS)))


def _front_end(facts: Facts) -> list[str]:
    """Say what builds a front end, which is not done here."""
    built = [each for each in facts if each.name == "node" and text(table(each.value).get("build"))]
    fact = next((each for each in built if each.certainty == "certain"), None)
    if fact is None:
        return []
    value = table(fact.value)
    manager, folder = text(value.get("manager")) or "npm", text(value.get("folder")) or "."
    install = "ci" if manager == "npm" and value.get("lock") else "install"
    line = f"{manager} {install} && {manager} run {text(value.get('build'))}"
    line = line if folder == "." else f"(cd {folder} && {line})"
    return [
        f"{fact.origin}: the front end is not built by Berth; where pages need it, type `{line}` before `up` and "
        "`build --prod`, which take its output from the checkout"
    ]


def _import_paths(paths: Collection[str], django: str) -> tuple[str, ...]:
    """Return the folders besides that of manage.py that may hold the project's packages: the root, and `src`."""
    found = [] if django == "." else ["."]
    if any(re.fullmatch(r"src/[^/]+/__init__\.py", path) for path in paths) and django != "src":
        found.append("src")
    return tuple(found)


def _names(paths: Collection[str]) -> dict[str, str]:
    """Return the names of what Berth writes, of which the project has none."""
    is_taken = ".env" in paths or ".env.template" in paths
    env_file = _free((".env.berth",), paths) if is_taken else ".env"
    return {
        "folder": _free(FOLDERS, paths),
        "tasks": _free(("tasks.py", TASKS), paths),
        "env_file": env_file,
        "env_template": f"{env_file}.template",
    }


def _free(names: Sequence[str], paths: Collection[str]) -> str:
    """Return the first name that is neither a file nor a folder of the project."""
    for name in names:
        if name not in paths and not any(path.startswith(f"{name}/") for path in paths):
            return name
    raise Refused(f"cannot, because the project has {' and '.join(names)} already: rename one of them")


def _identifier(name: str) -> str:
    return re.sub("[^a-z0-9_]", "_", name.lower()).lstrip("0123456789_") or "app"


def _remarks(facts: Facts) -> list[str]:
    """Say of settings that are made by hand that they are not there, and of packages that Django is none of them."""
    found = []
    for fact in facts:
        if fact.name == "settings.local":
            found.append(
                f"{fact.origin} reads {fact.value}, which each developer makes by hand: the services run without it"
            )
        elif fact.name == "settings.example":
            file, becomes = (text(table(fact.value).get(name)) for name in ("file", "becomes"))
            found.append(
                f"{becomes} is not there: where the project needs it, type `cp {file} {becomes}`, and fill it in"
            )
    if facts.get("requirements") and not version(facts, "django"):
        found.append(f"the project's packages hold no Django ({place(facts.get('requirements'))})")
    return [*found, *_front_end(facts)]
