"""What is read from `docker compose ps` and `docker inspect`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.compose import ps
from berth.compose.config import Stack
from berth.compose.ps import Container

PORTS = [{"target": 1, "published": str(port), "host_ip": "127.0.0.1"} for port in (8001, 8003)]
SHOP = Stack(
    json.dumps(
        {
            "name": "shop",
            "services": {
                "web": {"ports": [{**PORTS[0], "app_protocol": "http"}, {"target": 8002}, PORTS[1]]},
                "sql": {"ports": PORTS},
                "queue": {},
            },
        }
    )
)

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
    assert ps.containers(text) == CONTAINERS


@pytest.mark.parametrize("text", ["", "\n", "[]"])
def test_no_containers_are_none(text: str) -> None:
    assert ps.containers(text) == []


@given(st.lists(st.sampled_from(ROWS)))
def test_both_forms_always_agree(rows: list[dict[str, Any]]) -> None:
    assert ps.containers("\n".join(map(json.dumps, rows))) == ps.containers(json.dumps(rows))


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
    assert ps.inspected(json.dumps(objects)) == [
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
    assert ps.table(SHOP, running) == (
        "service  state       address\n"
        "mail     created\n"
        "schema   exited (3)\n"
        "web      healthy     http://127.0.0.1:8001, 127.0.0.1:8003\n"
        "sql      done\n"
        "queue    running"
    )


def test_table_without_containers_is_its_head() -> None:
    assert ps.table(SHOP, []) == "service  state  address"
