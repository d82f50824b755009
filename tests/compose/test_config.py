"""What is read from `docker compose config`."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from berth.compose import config
from berth.compose.config import Stack, Unknown


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


@pytest.mark.parametrize(
    ("started", "builders"),
    [
        (["schema"], ["web"]),
        (["mail", "schema"], ["web"]),
        (["web"], []),
        (["schema", "web"], []),
        (["sql"], []),
        ([], []),
    ],
)
def test_who_builds_the_image_of_another_service_is_known(started: list[str], builders: list[str]) -> None:
    assert SHOP.builders(started) == builders


def test_the_image_of_a_dependency_is_built_by_its_builder() -> None:
    shop = stack(
        web={"image": "shop", "build": {}}, job={"image": "shop"}, mail={"image": "mail", "depends_on": {"job": {}}}
    )
    assert shop.builders(["mail"]) == ["web"]
    assert shop.builders(["mail", "web"]) == []


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
    assert config.mentions(text, service) is found


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


@pytest.mark.parametrize(
    ("port", "variable"),
    [
        ({"target": 5432, "published": "${DB_PORT:-5432}", "host_ip": "127.0.0.1"}, "DB_PORT"),
        ({"target": 5432, "published": "5432"}, None),
        ({"target": 5432}, None),
        ("${DB_PORT}:5432", "DB_PORT"),
        ("127.0.0.1:${DB_PORT:-5432}:5432", "DB_PORT"),
        ("${ADDRESS:-127.0.0.1}:${DB_PORT:?set it}:${TARGET:-5432}/tcp", "DB_PORT"),
        ("${ADDRESS:-127.0.0.1}:5432:5432", None),
        ("5432:5432", None),
    ],
)
def test_variable_of_a_port_is_found_in_both_forms(port: object, variable: str | None) -> None:
    assert stack(db={"ports": ["1:1", port]}).port_variable("db", 1) == variable


def test_services_with_an_image_built_here_are_known() -> None:
    assert SHOP.built() == ["web"]
