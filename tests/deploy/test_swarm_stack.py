"""The stack file is a pure function of what Compose resolves: nothing of this machine, no secret, nothing ignored."""

from __future__ import annotations

import copy
import json
import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.deploy.swarm import service, stack
from berth.errors import Refused

OWN = "shop-app:prod"
RELEASED = "registry.example.com/shop-app:0123456789ab"


def config(**services: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration as `docker compose config --format json` gives it, with a service that serves."""
    site = {"image": OWN, "labels": {"berth.role": "app"}, "networks": {"default": None}, "command": None}
    return {
        "name": "shop",
        "services": {"web": site, **services},
        "networks": {"default": {"name": "shop_default", "ipam": {}}},
        "volumes": {"data": {"name": "shop_data"}},
        "configs": {"proxy": {"name": "shop_proxy", "file": "/here/proxy.cfg"}},
        "secrets": {"none": {"name": "shop_none", "file": "/dev/null"}, "tls": {"name": "x", "file": "/here/tls.pem"}},
    }


def release(read: dict[str, Any], contents: stack.Contents | None = None) -> stack.Release:
    return stack.release(read, name="live", image=RELEASED, contents=contents or {})


def web(**said: Any) -> dict[str, Any]:
    """Return what becomes of the service that serves, when the compose files say this of it."""
    read = config()
    read["services"]["web"] |= said
    made: dict[str, Any] = release(read).document["services"]["web"]
    return made


# --- What the project's own services become ----------------------------------


def test_the_released_image_takes_the_place_of_the_built_one_only() -> None:
    services = release(config(cache={"image": "redis:8"})).document["services"]
    assert {name: one["image"] for name, one in services.items()} == {"web": RELEASED, "cache": "redis:8"}


def test_a_replica_starts_before_an_old_one_goes_and_a_failure_goes_back() -> None:
    deploy = web()["deploy"]
    assert deploy["endpoint_mode"] == "dnsrr"
    assert deploy["update_config"] == {
        "order": "start-first",
        "parallelism": 1,
        "monitor": "5s",
        "failure_action": "rollback",
    }


def test_what_the_files_say_of_an_update_counts_more() -> None:
    deploy = web(deploy={"replicas": 5, "update_config": {"parallelism": 2}})["deploy"]
    assert deploy["replicas"] == 5
    assert (deploy["update_config"]["parallelism"], deploy["update_config"]["order"]) == (2, "start-first")


@pytest.mark.parametrize(
    "said",
    [
        {"ports": [{"target": 80, "published": "80", "mode": "host", "protocol": "tcp"}]},
        {"volumes": [{"type": "volume", "source": "data", "target": "/data"}]},
    ],
    ids=["port of the node", "volume"],
)
def test_what_cannot_run_twice_on_a_node_stops_first(said: dict[str, Any]) -> None:
    assert web(**said)["deploy"]["update_config"]["order"] == "stop-first"


def test_a_secret_is_a_file_that_only_the_user_of_the_service_reads() -> None:
    read = config()
    read["services"]["web"] |= {"user": "10001:10002", "environment": {"DB_PASSWORD": "a$$b", "DB_USER": "app"}}
    made = release(read)
    (secret,) = made.secrets
    one = made.document["services"]["web"]
    assert one["environment"] == {"DB_PASSWORD_FILE": "/run/secrets/DB_PASSWORD", "DB_USER": "app"}
    assert one["secrets"] == [
        {"source": secret.name, "target": "DB_PASSWORD", "mode": 0o400, "uid": "10001", "gid": "10002"}
    ]
    # The dollar signs that Compose doubles are not part of the password.
    assert secret.content == b"a$b"
    assert made.document["secrets"] == {secret.name: {"name": secret.name, "external": True}}


def test_a_url_with_a_password_is_a_secret() -> None:
    assert web(environment={"CACHE_URL": "redis://:pw@cache/0"})["environment"] == {
        "CACHE_URL_FILE": "/run/secrets/CACHE_URL"
    }


def test_a_variable_without_a_value_is_left_out() -> None:
    assert web(environment={"LOG_LEVEL": "INFO", "CSRF_TRUSTED_ORIGINS": None})["environment"] == {"LOG_LEVEL": "INFO"}


def test_files_of_another_image_become_configs_and_a_script_stays_executable() -> None:
    mount = {"type": "bind", "source": "/here/init", "target": "/init", "read_only": True}
    read = config(db={"image": "postgres:18", "volumes": [mount]})
    made = release(read, {"/here/init": {"a.sql": b"SELECT 1", "b.sh": b"#!/bin/sh"}})
    configs = made.document["services"]["db"]["configs"]
    assert [(one["target"], one["mode"]) for one in configs] == [("/init/a.sql", 0o444), ("/init/b.sh", 0o555)]
    assert {file.content for file in made.configs} == {b"SELECT 1", b"#!/bin/sh"}


def test_a_file_that_is_none_is_left_out() -> None:
    read = config(proxy={"image": "haproxy:3", "secrets": [{"source": "none"}, {"source": "tls", "mode": "0400"}]})
    made = release(read, {"/here/tls.pem": {"": b"key"}})
    (secret,) = made.document["services"]["proxy"]["secrets"]
    assert (secret["target"], secret["mode"]) == ("tls", 0o400)
    assert stack.paths(read) == ["/here/tls.pem"]


def test_a_volume_and_a_network_never_bear_the_name_of_those_of_development() -> None:
    read = config(db={"image": "postgres:18", "volumes": [{"type": "volume", "source": "data", "target": "/data"}]})
    document = release(read).document
    assert document["volumes"] == {"data": {}}
    assert document["networks"] == {"default": {"driver": "overlay"}}


@pytest.mark.parametrize(
    ("said", "mounts"),
    [
        ({"tmpfs": ["/tmp"]}, [{"type": "tmpfs", "target": "/tmp"}]),
        ({"tmpfs": ["/a:size=1k,mode=1777"]}, [{"type": "tmpfs", "target": "/a", "tmpfs": {"size": 1024, "mode": 0o1777}}]),
        ({"shm_size": "2048"}, [{"type": "tmpfs", "target": "/dev/shm", "tmpfs": {"size": 2048}}]),
    ],
)  # fmt: skip
def test_what_docker_would_ignore_in_a_stack_file_is_written_as_it_reads_it(
    said: dict[str, Any], mounts: list[dict[str, Any]]
) -> None:
    assert web(**said)["volumes"] == mounts


# --- What is refused ---------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"privileged": True}, "`privileged`, which Docker Swarm cannot do"),
        ({"security_opt": ["seccomp:unconfined"]}, "`security_opt`, which Docker Swarm cannot do"),
        ({"ports": [{"target": 80, "published": "80", "host_ip": "127.0.0.1"}]}, "port 80 on 127.0.0.1"),
        ({"ports": [{"target": 80, "published": "80-90"}]}, "name one port"),
        ({"volumes": [{"type": "bind", "source": "/here/app", "target": "/code"}]}, "mounts /here/app"),
        ({"tmpfs": ["/tmp:noexec"]}, "`size` and `mode` only"),
        ({"environment": {"DB_HOST": "db"}}, "DB_HOST names `db`: no such service is part of the stack"),
        ({"environment": {"BROKER": "sqs://key:secret@db:9324"}}, "BROKER names `db`"),
    ],
)
def test_what_swarm_would_get_wrong_is_refused(said: dict[str, Any], words: str) -> None:
    read = config(db={"image": "postgres:18", "deploy": {"replicas": 0}})
    read["services"]["web"] |= said
    with pytest.raises(Refused, match=r"\w") as refused:
        release(read)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_host_whose_name_only_begins_like_a_service_is_another_one() -> None:
    read = config(db={"image": "postgres:18", "deploy": {"replicas": 0}})
    read["services"]["web"]["environment"] = {"DB_HOST": "db.example.com", "URL": "http://db-2/"}
    assert "db" not in release(read).document["services"]


def test_no_new_privileges_is_left_out() -> None:
    assert "security_opt" not in web(security_opt=["no-new-privileges:true"])


# --- Jobs --------------------------------------------------------------------


def with_job() -> dict[str, Any]:
    job = {"image": OWN, "command": ["migrate"], "depends_on": {"db": {"condition": "service_started"}}}
    read = config(job=job, db={"image": "postgres:18"}, worker={"image": OWN})
    read["services"]["web"]["depends_on"] = {"job": {"condition": "service_completed_successfully"}}
    return read


def test_what_others_need_to_have_ended_runs_once_before_them() -> None:
    made = release(with_job())
    assert made.jobs == ["job"]
    assert set(made.needs["services"]) == {"db"}
    assert set(made.before["services"]) == {"db", "job"}
    assert set(made.document["services"]) == {"db", "web", "worker"}
    assert made.before["services"]["job"]["deploy"]["mode"] == "replicated-job"
    assert made.before["services"]["job"]["deploy"]["restart_policy"] == {"condition": "none"}


def test_a_job_whose_needs_are_elsewhere_runs_alone() -> None:
    read = with_job()
    read["services"]["db"]["deploy"] = {"replicas": 0}
    assert set(release(read).before["services"]) == {"job"}
    assert release(read).needs == {}


# --- Replicas ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "said_before", "running", "kept"),
    [(2, 2, 5, 5), (3, 2, 5, 3), (2, 2, None, 2), (2, None, 5, 2)],
    ids=["scaled by hand", "another number in the files", "new", "first release"],
)
def test_a_deployment_leaves_the_number_of_replicas_as_it_was_chosen_last(
    said: int, said_before: int | None, running: int | None, kept: int
) -> None:
    def document(replicas: int) -> stack.Document:
        return {"services": {"web": {"deploy": {"replicas": replicas}}}}

    before = {} if said_before is None else document(said_before)
    now = {} if running is None else {"web": running}
    assert stack.keep_replicas(document(said), before, now) == document(kept)


@pytest.mark.parametrize(
    ("image", "is_remote"),
    [("shop:1", False), ("team/shop:1", False), ("registry.example.com/shop:1", True), ("localhost:5000/shop", True)],
)
def test_an_image_of_a_registry_begins_with_a_host(image: str, is_remote: bool) -> None:
    assert stack.is_of_a_registry(image) is is_remote


# --- Properties --------------------------------------------------------------

NAMES = st.text(string.ascii_uppercase + "_", min_size=1, max_size=12)
# As a file writes them: what Compose reads as a dollar sign is two.
VALUES = st.text(st.characters(codec="ascii", exclude_characters="$\0\n"), min_size=1, max_size=20)
SECRETS = st.dictionaries(
    NAMES.map(lambda name: f"{name}_PASSWORD"), VALUES.map(lambda value: f"<{value}>"), max_size=4
)


@given(plain=st.dictionaries(NAMES, VALUES, max_size=4), secrets=SECRETS)
def test_no_secret_is_in_a_stack_file_and_all_that_it_names_is_handed_over(
    plain: dict[str, str], secrets: dict[str, str]
) -> None:
    read = config(worker={"image": OWN, "environment": secrets})
    read["services"]["web"]["environment"] = {**plain, **secrets}
    untouched = copy.deepcopy(read)
    made = release(read)
    assert read == untouched
    assert made == release(read)
    assert {file.content.decode() for file in made.secrets} >= set(secrets.values())
    for one in made.document["services"].values():
        shown = set(one.get("environment", {}).values())
        assert shown.isdisjoint(secrets.values())
    named = {one["source"] for each in made.document["services"].values() for one in each.get("secrets", [])}
    assert named == {file.name for file in made.secrets} == stack.files(made.document)
    assert json.loads(json.dumps(made.document)) == made.document


@given(name=st.text(string.ascii_letters + "-_.", max_size=100), content=st.binary())
def test_a_name_fits_however_long_that_of_the_file_is(name: str, content: bytes) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_.-]{12,63}[a-f0-9]", service.hashed(name, content).name)


@given(one=VALUES, other=VALUES)
def test_a_secret_has_another_name_exactly_when_it_holds_something_else(one: str, other: str) -> None:
    def name(value: str) -> set[str]:
        read = config()
        read["services"]["web"]["environment"] = {"API_KEY": value}
        return stack.files(release(read).document)

    assert (name(one) == name(other)) is (one == other)
