"""Write `.env.template` of a project: each variable with one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from berth.init import production
from berth.init.image import python_image
from berth.init.plan import Plan, Variable


def text(plan: Plan, template: str, more: Mapping[str, str]) -> str:
    """Return the text of the template.

    :param template: Berth's own, whose sentences are taken where they fit.
    :param more: paragraphs of other servers, by section: `Ports`, `Images`, and others to be added at the end.
    """
    own = paragraphs(template)
    parts = [own[""].replace(".env", plan.env_file).replace("./inv", "inv").rstrip("\n") + "\n"]
    known: set[str] = set()
    for heading, body in _sections(plan, own, more):
        once = [paragraph for each in body for paragraph in _once(each, known)]
        if once:
            parts.append(f"# --- {heading} ".ljust(79, "-") + "\n\n" + "\n".join(once))
    return "\n".join(parts)


def _once(body: str, known: set[str]) -> Iterator[str]:
    """Give the paragraphs about variables that are not yet known: what is the project's, too, stands among its own."""
    for paragraph in re.split(r"\n\n+", body):
        names = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", paragraph, re.M))
        if not names or names - known:
            yield paragraph.rstrip("\n") + "\n"
        known |= names


def paragraphs(template: str) -> dict[str, str]:
    """Return the paragraphs of a template by the variable that each is about; "" has the head of the file."""
    found = {"": template.partition("\n\n# ---")[0]}
    for paragraph in re.split(r"\n\n+", template):
        match = re.search(r"^(?:# )?([A-Z][A-Z0-9_]*)=", paragraph, re.M)
        if match and not paragraph.startswith("# Every variable"):
            found[match[1]] = paragraph.strip("\n").replace("./inv", "inv") + "\n"
    return found


def _sections(plan: Plan, own: Mapping[str, str], more: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    yield "Engine", [own["BERTH_ENGINE"]]
    compose_file = f"COMPOSE_FILE={plan.path('docker-compose.yml')}\n"
    compose = re.sub(r"^COMPOSE_FILE=.*\n", lambda _: compose_file, own["COMPOSE_FILE"], flags=re.M)
    yield "Compose", [compose, own["COMPOSE_PROJECT_NAME"], own["HOST_UID"], own["HOST_GID"]]
    yield "Django", list(_django(plan))
    if plan.service("db"):
        names = ("DB_NAME", "DB_USER", "DB_PASSWORD", "POSTGRES_PASSWORD", "DB_SNAPSHOTS_KEPT", "DB_SNAPSHOTS_DAYS",
                 "DB_HOST", "DB_PORT", "DB_WAIT_TIMEOUT")  # fmt: skip
        values = {"DB_NAME": plan.db_name, "DB_USER": plan.db_user}
        yield "PostgreSQL", [_with_value(own[name], name, values.get(name)) for name in names]
    if plan.service("rabbitmq") and "RABBITMQ_PASSWORD" not in "".join(more.values()):
        yield (
            "RabbitMQ",
            [
                "# User of the broker.\n# RABBITMQ_USER=app\n",
                "# Password of that user.\n#: secret\nRABBITMQ_PASSWORD=\n",
            ],
        )
    if plan.celery_app:
        celery = [f"# Module of the Celery application, as in `celery -A`.\n# CELERY_APP={plan.celery_app}\n"]
        yield "Celery", [*celery, own["WORKER_REPLICAS"], own["WORKER_RELOAD"]]
    yield from production.paragraphs(plan, own)
    for heading, body in more.items():
        if heading not in {"Ports", "Images"}:
            yield heading, [body]
    yield "Ports on 127.0.0.1", list(_ports(plan, own, more))
    yield "Images", list(_images(plan, own, more))


def _django(plan: Plan) -> Iterator[str]:
    yield f"# Settings of the development services.\n# DJANGO_SETTINGS_MODULE={plan.settings}\n"
    if plan.configuration:
        yield f"# Class of the settings, for django-configurations.\n# DJANGO_CONFIGURATION={plan.configuration}\n"
    path = plan.health_path
    yield f"# Path that must answer 200 for the service `app` to count as healthy.\n# HEALTH_PATH={path}\n"
    for variable in plan.variables:
        if variable.value is not None:
            yield _paragraph(variable)


def _paragraph(variable: Variable) -> str:
    directive = f"#: {variable.directive}\n" if variable.directive else ""
    comment = "# " if variable.optional else ""
    sentence = variable.why.rstrip(".") or "Read by the settings"
    return f"# {sentence[:1].upper()}{sentence[1:]}.\n{directive}{comment}{variable.name}={variable.value}\n"


def _with_value(paragraph: str, name: str, value: str | None) -> str:
    if value is None:
        return paragraph
    return re.sub(rf"^(# )?{name}=.*$", lambda _: f"{name}={value}", paragraph, flags=re.M)


def _ports(plan: Plan, own: Mapping[str, str], more: Mapping[str, str]) -> Iterator[str]:
    yield own["APP_PUBLISHED_PORT"]
    if plan.service("db"):
        yield own["DB_PUBLISHED_PORT"]
    if plan.service("sqs"):
        yield own["BROKER_PUBLISHED_PORT"]
    if more.get("Ports"):
        yield more["Ports"]


def _images(plan: Plan, own: Mapping[str, str], more: Mapping[str, str]) -> Iterator[str]:
    yield own["PYTHON_IMAGE"].replace("python:3.13-slim-trixie", python_image(plan.python))
    if database := plan.service("db"):
        yield own["POSTGRES_IMAGE"].replace("postgres:18", database.image)
    if plan.service("sqs"):
        yield own["BROKER_IMAGE"]
    if more.get("Images"):
        yield more["Images"]
    yield from (own[name] for name in ("BUILD_TARGET", "BUILD_CA_BUNDLE", "BUILD_PIP_CONF", "BUILD_UV_TOML"))
