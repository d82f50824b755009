import re
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from conftest import database_at
from status.models import WorkerHeartbeat

welcome_urls = pytest.mark.urls("welcome.tests.urls")
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def broker(settings, queue_url):
    """A queue of a broker that is there."""
    settings.SQS_QUEUE_URLS = {"default": queue_url}


def services(client):
    return {service["id"]: (service["ok"], service["text"]) for service in client.get("/state.json").json()["services"]}


@pytest.mark.parametrize("path", ["/", "/state.json"])
@pytest.mark.parametrize(("module", "expected"), [("app.settings.local", 200), ("app.settings.prod", 404)])
def test_there_is_no_welcome_in_production(run, path, module, expected):
    if module == "app.settings.prod":
        pytest.importorskip("whitenoise")
    script = (
        "import app.wsgi; from django.test import Client\n"
        f"print(Client(headers={{'host': 'example.org'}}).get({path!r}, secure=True).status_code)"
    )
    process = run("-c", script, DJANGO_SETTINGS_MODULE=module, PYTHONWARNINGS="ignore")

    assert process.stdout.splitlines()[-1] == str(expected), process.stderr


@welcome_urls
def test_page_shows_services_links_and_the_next_commands(client):
    page = client.get("/").text

    assert re.findall(r'<div id="(\w+)" class="(up|down)">', page) == [
        ("database", "up"),
        ("migrations", "up"),
        ("broker", "up"),
        ("worker", "down"),
    ]
    assert re.findall(r"<pre tabindex=\"0\"><code>(.*)</code></pre>", page) == [
        "./inv manage createsuperuser",
        "./inv manage startapp NAME",
        "./inv test",
    ]
    assert re.search(r'<a href="/admin/">Admin</a>', page)
    assert re.search(r'<a href="/status/ready/">Readiness</a>', page)
    assert re.search(r'<a href="https://docs.djangoproject.com/en/\d\.\d/">Django documentation</a>', page)
    assert "Not all of them are up." in page


@welcome_urls
def test_state_is_that_of_the_real_services(client, queue):
    state = services(client)

    assert state["database"][0]
    assert re.fullmatch(r"PostgreSQL \d+\.\d+", state["database"][1])
    assert re.fullmatch(r"all \d+ applied", state["migrations"][1])
    assert state["worker"] == (False, "none has given a sign of life")


@welcome_urls
def test_messages_are_counted(client, queue, settings):
    from users.tasks import export_users

    settings.SQS_QUEUE_URLS = {"default": queue}
    assert services(client)["broker"] == (True, "default: 0 waiting, 0 in flight")

    export_users.delay(1)

    assert services(client)["broker"] == (True, "default: 1 waiting, 0 in flight")


@welcome_urls
def test_worker_is_up_while_it_gives_signs_of_life(client):
    WorkerHeartbeat.beat("celery@one", "default")
    assert services(client)["worker"] in [(True, f"celery@one on default, seen {age} s ago") for age in (0, 1)]

    WorkerHeartbeat.objects.update(seen_at=Now() - timedelta(seconds=25))
    ok, text = services(client)["worker"]
    assert (ok, text) in [(False, f"celery@one was last seen {age} s ago") for age in (25, 26)]

    WorkerHeartbeat.beat("celery@two", "default,mail")
    assert services(client)["worker"] in [(True, f"celery@two on default,mail, seen {age} s ago") for age in (0, 1)]


@welcome_urls
def test_worker_of_long_ago_is_forgotten():
    WorkerHeartbeat.beat("celery@old", "default")
    WorkerHeartbeat.objects.update(seen_at=Now() - timedelta(days=2))

    WorkerHeartbeat.beat("celery@new", "default")

    assert [row.hostname for row in WorkerHeartbeat.objects.all()] == ["celery@new"]


@welcome_urls
def test_page_comes_without_database_and_broker(client, settings):
    settings.SQS_QUEUE_URLS = {"default": "http://127.0.0.1:1/1/default"}

    with database_at(1):
        response = client.get("/")
        state = services(client)

    assert response.status_code == 200
    assert state == {
        "database": (False, "not reachable"),
        "migrations": (False, "unknown without the database"),
        "broker": (False, "queue `default` not reachable"),
        "worker": (False, "unknown until the database is migrated"),
    }
