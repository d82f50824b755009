import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from conftest import HERE

PROBLEMS = (
    "DB_NAME is not set: add `DB_NAME=...` to the environment (`.env`)\n"
    "ALLOWED_HOSTS is not set: list the host names to serve, `example.org,www.example.org`\n"
)

SCRIPT = """
import logging, structlog
import app.wsgi
from django.test import Client
from django.urls import path
import app.urls
def broken(request):
    raise ValueError("broken on purpose")
app.urls.urlpatterns.append(path("broken/", broken))
client = Client(raise_request_exception=False, headers={"host": "example.org"})
for name in ("gunicorn.error", "celery.worker", "somewhere.else"):
    logging.getLogger(name).info("from %s", name)
for url in ("/status/", "/admin/", "/broken/", "/missing/"):
    client.get(url, secure=True)
"""


def test_production_logs_json_with_request_ids(run, db):
    pytest.importorskip("whitenoise")

    # No static files are collected in a checkout, which WhiteNoise warns about.
    process = run("-c", SCRIPT, DJANGO_SETTINGS_MODULE="app.settings.prod", PYTHONWARNINGS="ignore")

    lines = [json.loads(line) for line in process.stdout.splitlines()]
    assert [line["event"] for line in lines if "request" in line] == ["request_failed"], process.stderr

    process = run("-c", SCRIPT, DJANGO_SETTINGS_MODULE="app.settings.prod", PYTHONWARNINGS="ignore", LOG_LEVEL="DEBUG")

    lines = [json.loads(line) for line in process.stdout.splitlines()]
    lines = [
        line for line in lines if "from " in line["event"] or line["event"] in ("request_finished", "request_failed")
    ]
    assert [(line["logger"], line["event"], line["level"]) for line in lines] == [
        ("gunicorn.error", "from gunicorn.error", "info"),
        ("celery.worker", "from celery.worker", "info"),
        ("somewhere.else", "from somewhere.else", "info"),
        ("django_structlog.middlewares.request", "request_finished", "debug"),
        ("django_structlog.middlewares.request", "request_failed", "error"),
        ("django_structlog.middlewares.request", "request_finished", "debug"),
    ], process.stderr
    finished, failed, missing = lines[3:]
    assert (finished["request"], finished["code"]) == ("GET /admin/", 302)
    assert (missing["request"], missing["code"]) == ("GET /missing/", 404)
    assert "ValueError: broken on purpose" in failed["exception"]
    ids = [line["request_id"] for line in lines[3:]]
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value) for value in ids)
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$", line["timestamp"]) for line in lines)
    assert process.stderr == ""


def test_development_logs_lines_to_read(run, db):
    process = run("-c", SCRIPT)

    lines = process.stdout.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[info     ] from gunicorn.error \[gunicorn.error]", lines[0])
    assert "ValueError: broken on purpose" in lines
    assert process.stderr == ""


def test_management_command_prints_its_own_output_only(run, transactional_db):
    process = run("manage.py", "migrate")

    assert process.stdout == (
        "Operations to perform:\n"
        "  Apply all migrations: admin, auth, contenttypes, sessions, status, users\n"
        "Running migrations:\n"
        "  No migrations to apply.\n"
    )
    assert (process.returncode, process.stderr) == (0, "")


@pytest.fixture
def gunicorn(environment, tmp_path, unused_port):
    """Start gunicorn with some variables changed; ended after the test."""
    pytest.importorskip("gunicorn")
    processes = []

    def start(*options, **changes):
        command = [sys.executable, "-m", "gunicorn", "app.wsgi", "--bind", f"127.0.0.1:{unused_port}"]
        command += ["--no-control-socket", "--access-logfile", "-", *options]
        variables = {name: value for name, value in {**environment, **changes}.items() if value is not None}
        process = subprocess.Popen(
            command, cwd=HERE, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        processes.append(process)
        return process, f"http://127.0.0.1:{unused_port}"

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def unused_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answer(url, **headers):
    """Status of a GET, asked for again until the server listens."""
    until = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as response:
                return response.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def test_gunicorn_serves_production_and_logs_json_only(gunicorn, transactional_db, queue_url):
    process, url = gunicorn(
        "--preload",
        PYTHONWARNINGS="ignore",
        DJANGO_SETTINGS_MODULE="app.settings.prod",
        SECURE_SSL_REDIRECT="0",
        SQS_QUEUE_URLS=f"default={queue_url}",
    )

    assert answer(f"{url}/status/", Host="10.1.2.3") == 200
    assert answer(f"{url}/status/ready/", Host="10.1.2.3") == 200
    assert answer(f"{url}/", Host="example.org") == 404
    assert answer(f"{url}/admin/", Host="10.1.2.3") == 400
    process.terminate()
    output, errors = process.communicate(timeout=20)

    lines = [json.loads(line) for line in output.splitlines()]
    assert (process.returncode, errors) == (0, "")
    assert "Starting gunicorn" in lines[0]["event"]
    # The line of a request is that of the server's configuration, which the image has.
    assert [line["request"] for line in lines if "request" in line] == []


def test_gunicorn_ends_with_one_line_for_each_problem(gunicorn):
    process, _ = gunicorn("--preload", DJANGO_SETTINGS_MODULE="app.settings.prod", ALLOWED_HOSTS=None, DB_NAME=None)
    output, errors = process.communicate(timeout=20)

    assert (process.returncode, output, errors) == (4, "", PROBLEMS)


def test_gunicorn_does_not_try_for_ever_where_its_workers_load_the_project(gunicorn):
    process, _ = gunicorn(DJANGO_SETTINGS_MODULE="app.settings.prod", ALLOWED_HOSTS=None, DB_NAME=None)
    _, errors = process.communicate(timeout=20)

    assert process.returncode != 0
    assert errors.count(PROBLEMS) == 1
