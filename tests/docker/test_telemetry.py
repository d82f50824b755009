"""OpenTelemetry of the server and the worker, as a collector receives it, and its absence."""

from __future__ import annotations

import gzip
import http.client
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from servers import APP, Postgres, free_port, running, wait_until

SETTINGS = """
import os

SECRET_KEY = "only-for-a-test"
ROOT_URLCONF = "shop"
ALLOWED_HOSTS = ["*"]
MIDDLEWARE = []
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": os.environ["DB_PORT"],
    "NAME": "shop", "USER": "web", "PASSWORD": "secret",
}}
"""
PROJECT = """
import os

from celery import Celery
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse
from django.urls import path

app = Celery("shop", broker="filesystem://")
app.conf.update(
    broker_transport_options={name: os.environ["MESSAGES"] for name in (
        "data_folder_in", "data_folder_out", "processed_folder", "control_folder",
    )},
    task_ignore_result=True,
)

@app.task(name="greet")
def greet():
    pass

def view(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 6 * 7")
    greet.delay()
    return HttpResponse("done")

urlpatterns = [path("hello/", view)]
application = get_wsgi_application()
"""
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


class Collector:
    """Takes what OTLP sends over HTTP."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        """Each with the name of its service."""
        self.metrics: set[str] = set()

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = attributes(resource.resource)["service.name"]
                self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            for found in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.metrics |= {metric.name for scope in found.scope_metrics for metric in scope.metrics}

    def find(self, service: str, kind: int, **wanted: str) -> Any:
        """Return the first span of that kind with these attributes, or None."""
        for name, span in list(self.spans):
            known = {key.replace(".", "_"): value for key, value in attributes(span).items()}
            if (name, span.kind) == (service, kind) and known | wanted == known:
                return span
        return None


def attributes(owner: Any) -> dict[str, Any]:
    """Return attributes whose values are texts, or lists of such."""
    return {
        one.key: [each.string_value for each in one.value.array_value.values]
        if one.value.HasField("array_value")
        else one.value.string_value
        for one in owner.attributes
    }


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    """A collector, and its URL."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.take(self.path, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def environment(container: Callable[..., dict[str, str]], postgres: Postgres, tmp_path: Path) -> dict[str, str]:
    """The environment of a server and a worker of a small project in ``tmp_path``."""
    (tmp_path / "shop.py").write_text(PROJECT)
    (tmp_path / "shop_settings.py").write_text(SETTINGS)
    (tmp_path / "messages").mkdir()
    return container(
        BERTH_LIB=APP,
        DB_PORT=postgres.port,
        MESSAGES=tmp_path / "messages",
        DJANGO_SETTINGS_MODULE="shop_settings",
        WSGI_MODULE="shop:application",
        CELERY_APP="shop",
        CELERY_CONCURRENCY="1",
        WORKER_HEARTBEAT_FILE=tmp_path / "heartbeat",
        GUNICORN_CONFIG=APP / "gunicorn.conf.py",
        GUNICORN_CMD_ARGS=f"--bind 127.0.0.1:{free_port()}",
        WEB_CONCURRENCY="1",
        DRAIN_SECONDS="0",
        PYTHONDONTWRITEBYTECODE="1",
    )


def get(environment: dict[str, str], **headers: str) -> int:
    """Return the status of the page; 0 while nobody serves."""
    connection = http.client.HTTPConnection(environment["GUNICORN_CMD_ARGS"].rpartition(" ")[2], timeout=10)
    try:
        connection.request("GET", "/hello/", headers={name.replace("_", "-"): text for name, text in headers.items()})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def test_one_trace_holds_the_request_with_its_id_its_sql_and_its_task(
    environment: dict[str, str], collector: tuple[Collector, str], tmp_path: Path
) -> None:
    found, url = collector
    # Not after the usual 5 and 60 s.
    often = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **often}
    with ExitStack() as stack:
        for script in ("start-prod-server.sh", "start-celery-worker.sh"):
            stack.enter_context(running(["bash", str(APP / script)], env=environment, cwd=tmp_path))
        wait_until(lambda: get(environment, X_Request_ID="of-a-proxy") == 200, "the server answers")
        wait_until(lambda: found.find("worker", CONSUMER) is not None, "the span of the task arrives", 60)
        wait_until(lambda: found.find("app", SERVER) is not None, "the span of the request arrives")
        wait_until(lambda: "http.server.duration" in found.metrics, "the metric of requests arrives")
        request, task = found.find("app", SERVER), found.find("worker", CONSUMER)

    assert attributes(request)["http.request.header.x_request_id"] == ["of-a-proxy"]
    sql, published = found.find("app", CLIENT, db_statement="SELECT 6 * 7"), found.find("app", PRODUCER)
    assert sql.parent_span_id == published.parent_span_id == request.span_id
    assert (task.name, task.parent_span_id) == ("run/greet", published.span_id)
    assert {request.trace_id} == {sql.trace_id, published.trace_id, task.trace_id}


def test_nothing_of_it_is_imported_where_it_is_not_asked_for(environment: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import runpy, sys; config = runpy.run_path(sys.argv[1]); config['post_fork'](None, None); "
        "import berth_telemetry; berth_telemetry.start('app'); berth_telemetry.complain(); "
        "print([name for name in sys.modules if name.startswith('opentelemetry')], config['TELEMETRY'])"
    )
    for variables in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}):
        made = subprocess.run(
            [sys.executable, "-c", code, APP / "gunicorn.conf.py"],
            env={**environment, **variables, "PYTHONPATH": str(APP)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert (made.stdout, made.stderr) == ("[] None\n", "")


def test_one_line_says_that_it_is_asked_for_and_not_installed(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry/__init__.py").write_text("")
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "PYTHONPATH": str(tmp_path)}
    with running(["bash", str(APP / "start-prod-server.sh")], env=environment, cwd=tmp_path) as server:
        wait_until(lambda: get(environment) == 200, "the server answers without")
        server.terminate()
        _, errors = server.communicate(timeout=30)

    assert errors.count("OpenTelemetry is asked for by a variable") == 1
    assert "as `-r telemetry.in` in requirements/prod.in does, and build" in errors
