"""Celery, its broker and its schedule; queues of other kinds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from berth.inspect import Fact, Facts

Made = Callable[..., Facts]

CELERY = """
    import os
    from celery import Celery
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")
    app = Celery("site1")
    app.config_from_object("django.conf:settings", namespace="CELERY")
"""
FILES = {"site1/celery.py": CELERY, "requirements.txt": "django==5.2\ncelery==5.4.0\n"}


def fact(found: Facts, name: str) -> Fact:
    made = found.get(name)
    assert made is not None
    return made


def test_application_is_named_as_the_command_takes_it(with_settings: Made) -> None:
    celery = fact(with_settings("", FILES), "celery")
    assert celery.value == {"application": "site1", "file": "site1/celery.py"}
    assert (str(celery.origin), celery.certainty) == ("site1/celery.py:5", "certain")


def test_application_of_another_program_is_no_rival_of_the_project(with_settings: Made) -> None:
    other = "from celery import Celery\napp = Celery()\n"
    celery = fact(with_settings("", {**FILES, "agent/agent.py": other}), "celery")
    assert celery.value == {"application": "site1", "file": "site1/celery.py"}
    assert [each.value for each in celery.alternatives] == ["agent.agent"]


def test_queues_and_schedule_are_read_from_commands(with_settings: Made) -> None:
    procfile = "web: gunicorn site1.wsgi\nworker: celery -A site1 worker -Q high,low\nbeat: celery -A site1 beat\n"
    found = with_settings("", {**FILES, "Procfile": procfile})
    assert fact(found, "celery").value["queues"] == ["high", "low"]  # type: ignore[index, call-overload]
    assert fact(found, "celery.beat").value == "celery -A site1 beat"
    assert fact(found, "worker.worker").value == "celery -A site1 worker -Q high,low"
    assert found.get("worker.web") is None


def test_package_without_an_application_is_no_certainty(with_settings: Made) -> None:
    celery = fact(with_settings("", {"requirements.txt": "django==5.2\ncelery==5.4.0\n"}), "celery")
    assert (celery.value, celery.certainty) == (None, "likely")


def test_project_without_celery_is_certain(with_settings: Made) -> None:
    found = with_settings("")
    assert (fact(found, "celery").value, fact(found, "celery").certainty) == (None, "certain")
    assert found.get("celery.broker") is None


@pytest.mark.parametrize(
    ("code", "kind", "certainty"),
    [
        ('CELERY_BROKER_URL = "redis://localhost/0"', "redis", "certain"),
        ('CELERY_BROKER_URL = "sqs" + "://"', "sqs", "certain"),
        ('import os\nCELERY_BROKER_URL = os.environ.get("B", "amqp://localhost")', "rabbitmq", "certain"),
        ('import os\nH = os.getenv("H", "r")\nCELERY_BROKER_URL = f"redis://{H}/1"', "redis", "certain"),
        ('CELERY_BROKER_URL = "{}://{}".format("amqp", "h")', "rabbitmq", "certain"),
        ('import os\nCELERY_BROKER_URL = os.environ["RABBITMQ_URL"]', "rabbitmq", "guess"),
        ('import os\nCELERY_BROKER_URL = os.environ["B"]', None, "guess"),
    ],
)
def test_broker_is_read_from_settings(with_settings: Made, code: str, kind: str | None, certainty: str) -> None:
    broker = fact(with_settings(code, FILES), "celery.broker")
    assert (broker.value["kind"], broker.certainty) == (kind, certainty)  # type: ignore[index, call-overload]


def test_broker_that_depends_on_a_switch_lists_the_other(with_settings: Made) -> None:
    code = """
        import os
        if os.getenv("KIND") == "sqs":
            CELERY_BROKER_URL = "sqs" + "://"
        else:
            CELERY_BROKER_URL = "redis://r"
    """
    broker = fact(with_settings(code, FILES), "celery.broker")
    assert broker.certainty == "likely"
    assert {broker.value["kind"], broker.alternatives[0].value} == {"redis", "sqs"}  # type: ignore[index, call-overload]


def test_broker_is_told_by_a_sample_before_a_service(with_settings: Made) -> None:
    compose = "services:\n  cache:\n    image: redis:7\n"
    files = {**FILES, ".env.example": "B=amqp://guest@rabbit\n", "compose.yaml": compose}
    broker = fact(with_settings('import os\nCELERY_BROKER_URL = os.environ["B"]', files), "celery.broker")
    assert (broker.value["kind"], str(broker.origin)) == ("rabbitmq", ".env.example:1")  # type: ignore[index, call-overload]
    assert [each.value for each in broker.alternatives] == ["redis"]


def test_broker_without_a_setting_is_a_guess(with_settings: Made) -> None:
    broker = fact(with_settings("", FILES), "celery.broker")
    assert (broker.value["kind"], broker.certainty) == ("rabbitmq", "guess")  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    ("package", "code", "certainty"),
    [
        ("django-q2", 'INSTALLED_APPS = ["django_q"]', "certain"),
        ("huey", 'INSTALLED_APPS += ["huey.contrib.djhuey"]', "certain"),
        ("dramatiq", "", "guess"),
    ],
)
def test_queue_of_another_kind_is_named(with_settings: Made, package: str, code: str, certainty: str) -> None:
    found = with_settings(code, {"requirements.txt": f"django==5.2\n{package}==1.0\n"})
    assert fact(found, f"queue.{package}").certainty == certainty


def test_own_command_of_a_service_is_a_worker(with_settings: Made) -> None:
    compose = "services:\n  q:\n    build: .\n    command: python manage.py qcluster\n  db:\n    image: mysql\n"
    found = with_settings("", {"compose.yaml": compose})
    assert str(fact(found, "worker.q").origin) == "compose.yaml:4"


def test_daemons_of_uwsgi_and_supervisord_are_workers(with_settings: Made) -> None:
    ini = "[uwsgi]\nhook-pre-app = exec:./manage.py migrate\nattach-daemon = ./manage.py sendalerts --loop\n"
    ini += "attach-daemon = ./manage.py smtpd --port %(_)\n"
    conf = "[program:web]\ncommand=python manage.py runserver\n[program:bot]\ncommand = python manage.py run_bot\n"
    found = with_settings("", {"docker/uwsgi.ini": ini, "supervisord.conf": conf})
    assert {each.name: (each.value, str(each.origin)) for each in found.family("worker")} == {
        "worker.sendalerts": ("./manage.py sendalerts --loop", "docker/uwsgi.ini:3"),
        "worker.run-bot": ("python manage.py run_bot", "supervisord.conf:4"),
    }


def test_installed_queue_that_no_file_starts_gets_its_own_command(with_settings: Made) -> None:
    settings = 'INSTALLED_APPS += ["django_rq", "django_q.apps.QConfig"]\nRQ_QUEUES = {"default": {}, "low": {}}\n'
    found = with_settings(settings, {"requirements.txt": "django==5.2\ndjango-rq==3.0\ndjango-q2==1.7\n"})
    assert [each.value for each in found.family("worker")] == [
        "python manage.py qcluster",
        "python manage.py rqworker default low",
    ]


@pytest.mark.parametrize(
    ("settings", "server"),
    [
        ('HUEY = {"name": "site1"}', "redis"),
        ('HUEY = {"huey_class": "huey.SqliteHuey"}', None),
        ('from huey import FileHuey\nHUEY = FileHuey("site1")', None),
    ],
)
def test_queue_in_a_file_needs_no_server(with_settings: Made, settings: str, server: str | None) -> None:
    found = with_settings(settings, {"requirements.txt": "django==5.2\nhuey==2.5\n"})
    assert found.value("queue_server.huey") == server
