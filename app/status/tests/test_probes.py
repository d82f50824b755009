import logging
import socket
import threading
import time
from contextlib import contextmanager
from unittest import mock

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from conftest import database_at
from status import readiness

READY = {"status": "ok", "checks": {name: {"ok": True} for name in ("database", "migrations", "broker")}}
UNKNOWN = {"ok": False, "detail": "unknown without the database"}


def no_answer(seconds):
    return {"ok": False, "detail": f"no answer within {seconds} s"}


@pytest.fixture(autouse=True)
def forget_the_last_state(monkeypatch):
    monkeypatch.setattr(readiness, "_last", {})


@pytest.fixture
def broker(settings, queue_url):
    """A queue of a broker that is there."""
    settings.SQS_QUEUE_URLS = {"default": queue_url}


@contextmanager
def server(behave):
    """A server that hands each connection to a function; gives its port and the connections."""
    connections = []

    def serve():
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            connections.append(accepted)
            threading.Thread(target=behave, args=[accepted], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1], connections
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for accepted in connections:
                accepted.close()


def silent(accepted):
    """Never answer."""


def dripping(accepted):
    """Answer one byte every 0.3 s, so that no single read waits for long."""
    try:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 100:
            accepted.sendall(bytes([byte]))
            time.sleep(0.3)
    except OSError:
        return


def checks_at_work():
    return [thread for thread in threading.enumerate() if thread.name == "readiness"]


def timed_get(client, url="/status/ready/"):
    start = time.monotonic()
    response = client.get(url)
    return response, time.monotonic() - start


def test_liveness_asks_nothing(client, settings):
    settings.SQS_QUEUE_URLS = {"default": "http://127.0.0.1:1/1/default"}

    response = client.get("/status/")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_with_the_real_services(client, transactional_db, broker):
    response = client.get("/status/ready/")

    assert (response.status_code, response.json()) == (200, READY)
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/status/", "/status/ready/"])
def test_probe_with_an_ip_address_as_host_over_http(client, settings, transactional_db, broker, path):
    settings.ALLOWED_HOSTS = ["example.org"]
    settings.SECURE_SSL_REDIRECT = True

    assert client.get(path, headers={"host": "172.17.0.5:8000"}).status_code == 200
    assert client.get("/admin/", secure=True, headers={"host": "172.17.0.5:8000"}).status_code == 400
    assert client.get("/admin/", headers={"host": "example.org"}).status_code == 301


@pytest.mark.parametrize("path", ["/status/", "/status/ready/"])
def test_head_is_answered_like_get_without_a_body(client, transactional_db, broker, path):
    response = client.head(path)

    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
@pytest.mark.parametrize("path", ["/status/", "/status/ready/"])
def test_other_methods_are_not_allowed(client, path, method):
    response = getattr(client, method)(path)

    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


def test_unapplied_migration_is_not_ready(client, transactional_db, broker):
    rows = MigrationRecorder(connection).migration_qs.filter(app="users", name="0001_initial")
    assert rows.delete()[0] == 1
    try:
        response = client.get("/status/ready/")
    finally:
        MigrationRecorder(connection).record_applied("users", "0001_initial")

    detail = "1 not applied: type `manage.py migrate`"
    assert (response.status_code, response.json()) == (
        503,
        {
            "status": "unavailable",
            "checks": {**READY["checks"], "migrations": {"ok": False, "detail": detail}},
        },
    )
    assert client.get("/status/ready/").status_code == 200


def test_squashed_migration_counts_as_applied_with_those_that_it_replaces():
    known = {
        ("a", "0001"): [],
        ("a", "0002"): [],
        ("a", "0001_squashed_0002"): [("a", "0001"), ("a", "0002")],
    }
    with mock.patch.object(readiness, "_migrations", return_value=known):
        assert readiness.unapplied({("a", "0001"), ("a", "0002")}) == []
        assert readiness.unapplied({("a", "0001")}) == ["a.0001_squashed_0002", "a.0002"]


def test_body_tells_no_host_user_or_password(client, settings, transactional_db):
    settings.DEBUG = False
    settings.SQS_QUEUE_URLS = {"default": "http://user:hunter2@127.0.0.1:1/1/default"}

    with database_at(1):
        response = client.get("/status/ready/")

    assert (response.status_code, response.json()) == (
        503,
        {
            "status": "unavailable",
            "checks": {
                "database": {"ok": False, "detail": "not reachable"},
                "migrations": UNKNOWN,
                "broker": {"ok": False, "detail": "queue `default` not reachable"},
            },
        },
    )


def test_body_tells_more_in_development(client, settings, transactional_db):
    settings.DEBUG = True
    settings.SQS_QUEUE_URLS = {"default": "http://127.0.0.1:1/1/default"}

    with database_at(1):
        checks = client.get("/status/ready/").json()["checks"]

    assert checks["database"]["detail"].startswith("not reachable: ")
    assert "Connection refused" in checks["database"]["detail"]
    assert checks["broker"]["detail"].startswith("queue `default` not reachable: ")


def test_missing_queue_is_not_ready(client, settings, transactional_db, queue_url):
    settings.SQS_QUEUE_URLS = {"default": queue_url, "mail": f"{queue_url}-of-nobody"}

    response = client.get("/status/ready/")

    assert response.json()["checks"]["broker"] == {"ok": False, "detail": "queue `mail` not reachable"}


def test_broker_that_wants_a_signature_is_reachable(client, settings, transactional_db):
    """As SQS on AWS does."""

    def forbid(accepted):
        accepted.recv(65536)
        accepted.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        accepted.close()

    with server(forbid) as (port, _):
        settings.SQS_QUEUE_URLS = {"default": f"http://127.0.0.1:{port}/1/default"}

        assert client.get("/status/ready/").json() == READY


def test_services_that_hang_are_given_up_together_within_two_seconds(client, settings, transactional_db):
    before = threading.active_count()
    with server(silent) as (database_port, databases), server(silent) as (broker_port, brokers):
        settings.SQS_QUEUE_URLS = {"default": f"http://127.0.0.1:{broker_port}/1/default"}

        with database_at(database_port):
            response, seconds = timed_get(client)

        assert (response.status_code, response.json()) == (
            503,
            {
                "status": "unavailable",
                "checks": {
                    "database": no_answer(readiness.DEADLINE),
                    "migrations": UNKNOWN,
                    "broker": no_answer(readiness.DEADLINE),
                },
            },
        )
        assert seconds < readiness.LIMIT + 0.1
        time.sleep(0.3)
        assert checks_at_work() == []
        for accepted in databases + brokers:
            accepted.settimeout(1)
            while accepted.recv(65536):
                pass
    time.sleep(0.2)
    assert threading.active_count() <= before


def test_check_that_never_ends_is_started_once(client, settings, transactional_db):
    with server(dripping) as (port, connections):
        settings.SQS_QUEUE_URLS = {"default": f"http://127.0.0.1:{port}/1/default"}

        for _ in range(3):
            response, seconds = timed_get(client)
            assert response.json()["checks"] == {**READY["checks"], "broker": no_answer(readiness.LIMIT)}
            assert seconds < readiness.LIMIT + 0.1

        assert len(connections) == 1
        assert len(checks_at_work()) == 1
    until = time.monotonic() + 5
    while checks_at_work() and time.monotonic() < until:
        time.sleep(0.05)
    assert checks_at_work() == []


def test_probes_leave_no_connection_to_the_database(client, transactional_db, broker):
    def connections():
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            return cursor.fetchone()[0]

    before = connections()
    for _ in range(20):
        assert client.get("/status/ready/").status_code == 200
    time.sleep(0.2)

    assert connections() <= before


def test_probes_are_cheap(client, transactional_db, broker):
    client.get("/status/ready/")

    start = time.process_time()
    for _ in range(20):
        client.get("/status/ready/")

    assert (time.process_time() - start) / 20 < 0.05


def test_probes_are_not_logged_but_a_change_of_state_is(client, settings, caplog, transactional_db, broker):
    caplog.set_level(logging.INFO)

    client.get("/status/")
    client.get("/status/ready/")
    assert caplog.records == []

    settings.SQS_QUEUE_URLS = {"default": "http://127.0.0.1:1/1/default"}
    client.get("/status/ready/")
    client.get("/status/ready/")
    changes = [record.msg for record in caplog.records]
    assert [(change["event"], change["check"], change["ok"]) for change in changes] == [
        ("readiness_changed", "broker", False)
    ]


def test_check_with_a_fault_of_its_own_is_not_ready(client, caplog, monkeypatch, transactional_db, broker):
    def fault():
        raise RuntimeError("hunter2")

    monkeypatch.setitem(readiness._CHECKS, ("broker",), readiness.SingleFlight(fault))

    response = client.get("/status/ready/")

    detail = "the check itself failed: see the log"
    assert response.status_code == 503
    assert response.json()["checks"]["broker"] == {"ok": False, "detail": detail}
    assert "check_failed" in [record.msg["event"] for record in caplog.records]
