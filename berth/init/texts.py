"""Put together the texts of all files of a project, from its plan."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from berth import template
from berth.init import compose, envtemplate, production
from berth.init.plan import Plan, Service

TASKS = '''\
"""The tasks of this project: `inv --list` shows them."""

from berth.tasks import collection

namespace = collection(__file__)
'''
SETTINGS = '''\
"""The settings of the services that Berth runs: those of {base}, with the database of the stack.

DJANGO_SETTINGS_MODULE leads here in {compose} and in the image; nothing else of the project knows
this file.
"""

{imports}

{imported}

_default = globals().get("DATABASES", {{}}).get("default", {{}})
DATABASES = {{
    **globals().get("DATABASES", {{}}),
    "default": {{
        **{{name: _default[name] for name in ("ATOMIC_REQUESTS", "CONN_MAX_AGE") if name in _default}},
        "ENGINE": "{backend}",
        "NAME": os.environ["DB_NAME"],
        "USER": os.environ["DB_USER"],
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": os.environ["DB_HOST"],
        "PORT": os.environ.get("DB_PORT", "5432"),
    }},
}}
'''
KEY = """

if not globals().get("SECRET_KEY"):
    SECRET_KEY = os.environ["SECRET_KEY"]
"""
REDIS = '''

def _led_to_redis(value):
    """Return a value with the service `redis` in the place of localhost, where no container has one."""
    if isinstance(value, str):
        return re.sub(r"^(rediss?://(?:[^@/]*@)?)(?:localhost|127\\.0\\.0\\.1)\\b", r"\\1redis", value)
    if isinstance(value, dict):
        return {key: _led_to_redis(each) for key, each in value.items()}
    return [_led_to_redis(each) for each in value] if isinstance(value, list) else value


for _name in ("CACHES", "CHANNEL_LAYERS", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
    if _name in globals():
        globals()[_name] = _led_to_redis(globals()[_name])
'''


def texts(plan: Plan, paths: Collection[str]) -> dict[str, str]:
    """Return the text of every file that the project gets, by its path below the root.

    A text that starts with `#!` belongs into an executable file.

    :param paths: of the project's own files: what it has already of some names stays, and ours is left out.
    """
    from berth.init import image

    own = {str(each.path): each.source for each in template.files()}
    blocks, more, mounted = _servers(plan)
    main = own["docker/docker-compose.yml"].read_text(encoding="utf-8")
    found = {
        plan.env_template: envtemplate.text(plan, own[".env.template"].read_text(encoding="utf-8"), more),
        plan.path("docker-compose.yml"): compose.text(plan, main, blocks),
    }
    for path, source in own.items():
        folder = PurePosixPath(path).parts[1] if path.startswith("docker/") else ""
        if (folder == "db" and plan.service("db")) or (folder == "broker" and plan.service("sqs")):
            found[plan.path(path.removeprefix("docker/"))] = source.read_text(encoding="utf-8")
    found |= mounted
    found |= image.files(plan)
    found |= production.files(plan)
    found[plan.tasks] = TASKS
    if "noxfile.py" not in paths:
        found["noxfile.py"] = own["noxfile.py"].read_text(encoding="utf-8")
    if plan.base_settings:
        path = "berth_settings.py" if plan.django == "." else f"{plan.django}/berth_settings.py"
        found[path] = (
            SETTINGS.format(
                imports="\n".join(
                    ["import importlib"] * ("-" in plan.base_settings)
                    + ["import os"]
                    + ["import re"] * plan.local_redis
                ),
                base=plan.base_settings,
                imported=_imported(plan.base_settings),
                compose=plan.path("docker-compose.yml"),
                backend=plan.backend,
            )
            + KEY * plan.keyless
            + REDIS * plan.local_redis
        )
    if ".gitignore" not in paths:
        found[".gitignore"] = (
            f"# Secrets of each checkout, and what Berth keeps in it.\n{plan.env_file}\n.berth/\n__pycache__/\n"
        )
    return dict(sorted(found.items()))


def _imported(module: str) -> str:
    """Return the lines that bring all settings of a module into another, whose name may be no identifier."""
    if all(part.isidentifier() for part in module.split(".")):
        return f"from {module} import *  # noqa: F403"
    return (
        f'_theirs = vars(importlib.import_module("{module}"))\n'
        "globals().update({name: value for name, value in _theirs.items() if name.isupper()})"
    )


def _servers(plan: Plan) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return the compose blocks of servers by name, paragraphs for the template by section, and what they mount."""
    others: list[Service] = [each for each in plan.services if each.kind in {"redis", "rabbitmq"}]
    if not others:
        return {}, {}, {}
    services = importlib.import_module("berth.init.services")
    blocks, more, mounted = {}, dict[str, str](), dict[str, str]()
    for service in others:
        blocks[service.name] = compose.with_aliases(services.block(service, plan), service)
        mounted |= services.files(service, plan)
        for section, paragraph in services.paragraphs(service, plan).items():
            more[section] = f"{more[section]}\n{paragraph}" if section in more else paragraph
    return blocks, more, mounted


def is_executable(text: bytes) -> bool:
    """Return whether a text is a script that is run by its name."""
    return text.startswith(b"#!")


def taken(texts: Mapping[str, str], paths: Collection[str]) -> list[str]:
    """Return the paths that the project has a file of its own at."""
    return [path for path in texts if path in paths]
