"""What is read from `docker compose config` and `docker compose ps`."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from berth.services import Container, Stack, Unknown
from hypothesis import given
from hypothesis import strategies as st

from berth import services


def stack(**definitions: dict[str, Any]) -> Stack:
    """Return a project `shop` of these services."""
    return Stack(json.dumps({"name": "shop", "services": definitions}))


SHOP = stack(
    sql={"image": "mirror/postgres:18", "labels": {"berth.role": "database"}, "environment": {"DB_NAME": "shop"}},
    queue={"image": "elasticmq:1", "environment": None},
    schema={"image": "shop:dev", "depends_on": {"sql": {"condition": "service_healthy"}}},
    web={
        "image": "shop:dev",
        "build": {"args": {"PYTHON_IMAGE": "python:3.13", "FOLDER": "app"}},
        "labels": {"berth.role": "app"},
        "depends_on": {"schema": {}, "queue": {}},
        "ports": [
            {"target": 8000, "published": "8001", "host_ip": "127.0.0.1", "app_protocol": "http"},
            {"target": 8002},
            {"target": 8003, "published": "8003"},
        ],
    },
    mail={"image": "mailhog:1"},
)


def test_name_and_services_of_the_project_are_read() -> None:
    assert (SHOP.project_name, SHOP.names()) == ("shop", ["mail", "queue", "schema", "sql", "web"])


def test_project_without_services_has_none() -> None:
    assert Stack('{"name": "empty"}').names() == []


def test_known_services_pass() -> None:
    SHOP.check(["web", "sql"])
    SHOP.check([])


@pytest.mark.parametrize(
    ("service", "near"),
    [("wbe", ": did you mean `web`?"), ("scheme", ": did you mean `schema`?"), ("dbb", "."), ("", ".")],
)
def test_unknown_service_is_named_with_the_nearest_one(service: str, near: str) -> None:
    message = f"no service is called `{service}`{near} The compose files have mail, queue, schema, sql, web"
    with pytest.raises(Unknown, match=f"^{re.escape(message)}$"):
        SHOP.check(["web", service])


@pytest.mark.parametrize(
    ("service", "found"),
    [("web", True), ("worker.1", True), ("services", False), ("we", False), ("image", True), ("eb", False)],
)
def test_key_of_a_compose_file_is_found_without_compose(service: str, found: bool) -> None:
    text = "services:\n  web:\n    image: a\n  worker.1: {image: b}\n  # we: none\n"
    assert services.mentions(text, service) is found


def test_service_is_found_by_its_role() -> None:
    assert (SHOP.with_role("app"), SHOP.with_role("database")) == ("web", "sql")


def test_missing_role_is_reported() -> None:
    message = "no service has the label `berth.role: mail`: give it to one of mail, queue, schema, sql, web"
    with pytest.raises(Unknown, match=f"^{re.escape(message)}$"):
        SHOP.with_role("mail")


def test_role_of_two_services_is_reported() -> None:
    both = stack(a={"labels": {"berth.role": "app"}}, b={"labels": {"berth.role": "app"}})
    message = "the services a, b all have the label `berth.role: app`: leave it on one of them"
    with pytest.raises(Unknown, match=f"^{re.escape(message)}$"):
        both.with_role("app")


@pytest.mark.parametrize(
    ("service", "dependents"),
    [("sql", ["schema", "web"]), ("schema", ["web"]), ("queue", ["web"]), ("web", []), ("mail", [])],
)
def test_dependents_are_direct_or_not(service: str, dependents: list[str]) -> None:
    assert SHOP.dependents(service) == dependents


def test_environment_is_empty_without_one() -> None:
    assert [SHOP.environment(name) for name in ("sql", "queue", "web")] == [{"DB_NAME": "shop"}, {}, {}]


def test_addresses_are_urls_where_the_port_speaks_http() -> None:
    assert (SHOP.addresses("web"), SHOP.addresses("sql")) == (["http://127.0.0.1:8001", "127.0.0.1:8003"], [])


def test_published_ports_keep_their_order() -> None:
    assert SHOP.published("web") == [("127.0.0.1", "8001"), ("0.0.0.0", ""), ("0.0.0.0", "8003")]
    assert SHOP.published("sql") == []


def test_upstream_images_are_those_that_nothing_builds() -> None:
    assert SHOP.upstream_images() == ["elasticmq:1", "mailhog:1", "mirror/postgres:18", "python:3.13"]


ROWS: list[dict[str, Any]] = [
    {"Service": "web", "Name": "shop-web-1", "State": "running", "Health": "healthy", "ExitCode": 0},
    {"Service": "schema", "Name": "shop-schema-1", "State": "exited", "Health": "", "ExitCode": 3},
    {"Service": "mail", "Name": "shop-mail-1", "State": "created"},
]
CONTAINERS = [
    Container("mail", "shop-mail-1", "created", "", 0),
    Container("schema", "shop-schema-1", "exited", "", 3),
    Container("web", "shop-web-1", "running", "healthy", 0),
]


@pytest.mark.parametrize(
    "text", ["\n".join(map(json.dumps, ROWS)) + "\n", json.dumps(ROWS)], ids=["a line each", "an array"]
)
def test_containers_are_read_from_either_form(text: str) -> None:
    assert services.containers(text) == CONTAINERS


@pytest.mark.parametrize("text", ["", "\n", "[]"])
def test_no_containers_are_none(text: str) -> None:
    assert services.containers(text) == []


@given(st.lists(st.sampled_from(ROWS)))
def test_both_forms_always_agree(rows: list[dict[str, Any]]) -> None:
    assert services.containers("\n".join(map(json.dumps, rows))) == services.containers(json.dumps(rows))


@pytest.mark.parametrize(
    ("state", "health", "exit_code", "failed"),
    [
        ("running", "healthy", 0, False),
        ("running", "starting", 0, False),
        ("running", "", 0, False),
        ("running", "unhealthy", 0, True),
        ("exited", "", 0, False),
        ("exited", "", 1, True),
        ("exited", "unhealthy", 0, False),
        ("restarting", "", 0, True),
        ("dead", "", 0, True),
        ("created", "", 0, False),
    ],
)
def test_failed_containers_are_told_from_the_others(state: str, health: str, exit_code: int, failed: bool) -> None:
    assert Container("web", "shop-web-1", state, health, exit_code).failed is failed


@pytest.mark.parametrize(
    ("state", "health", "restarts", "failed"),
    [
        ("running", "", 1, True),
        ("running", "starting", 2, True),
        ("running", "healthy", 9, False),
        ("running", "starting", 0, False),
    ],
)
def test_container_that_was_started_again_failed_until_it_is_healthy(
    state: str, health: str, restarts: int, failed: bool
) -> None:
    assert Container("web", "shop-web-1", state, health, 0, restarts).failed is failed


def inspect(service: str, restarts: int = 0, **state: Any) -> dict[str, Any]:
    """Return what `docker inspect` says of a container, as far as it is read."""
    return {
        "Name": f"/shop-{service}-1",
        "RestartCount": restarts,
        "State": {"ExitCode": 0, **state},
        "Config": {"Labels": {"com.docker.compose.service": service}},
    }


def test_containers_are_read_from_inspect() -> None:
    log = [{"Output": "first\n"}, {"Output": " refused:\n  é\n"}]
    objects = [
        inspect("web", 3, Status="running", Health={"Status": "starting", "Log": None}),
        inspect("sql", Status="running", Health={"Status": "unhealthy", "Log": log}),
        inspect("schema", Status="exited", ExitCode=3, Health={"Status": "unhealthy", "Log": []}),
        inspect("queue", Status="running"),
    ]
    assert services.inspected(json.dumps(objects)) == [
        Container("queue", "shop-queue-1", "running", "", 0),
        Container("schema", "shop-schema-1", "exited", "", 3),
        Container("sql", "shop-sql-1", "running", "unhealthy", 0, said="refused:\n  é"),
        Container("web", "shop-web-1", "running", "starting", 0, restarts=3),
    ]


def test_table_shows_state_and_addresses() -> None:
    running = [
        *CONTAINERS,
        Container("sql", "shop-sql-1", "exited", "", 0),
        Container("queue", "shop-queue-1", "running", "", 0),
    ]
    assert services.table(SHOP, running) == (
        "service  state       address\n"
        "mail     created\n"
        "schema   exited (3)\n"
        "web      healthy     http://127.0.0.1:8001, 127.0.0.1:8003\n"
        "sql      done\n"
        "queue    running"
    )


def test_table_without_containers_is_its_head() -> None:
    assert services.table(SHOP, []) == "service  state  address"
