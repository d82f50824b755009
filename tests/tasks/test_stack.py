"""The lines that start, watch and stop the services, and what is refused before any of them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from dotenv import dotenv_values
from dry_project import invoke

Dry = Callable[..., list[str]]
Inv = Callable[..., tuple[int, str, str]]

CALLER = f"{os.getuid()}:{os.getgid()}"


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("up", ["docker compose up --detach --wait"]),
        ("up app db --build", ["docker compose up --detach --wait --build app db"]),
        ("up --attach app", ["docker compose up --detach --wait app"]),
        # Its image is another service's, which nobody has built yet.
        ("up queues", ["docker compose build app", "docker compose up --detach --wait queues"]),
        ("up db", ["docker compose up --detach --wait db"]),
        ("build", ["docker compose build"]),
        ("build --prod --no-cache --pull app", ["BUILD_TARGET=prod docker compose build --no-cache --pull app"]),
        ("logs", ["docker compose logs"]),
        ("logs app db --tail 5 --follow", ["docker compose logs --follow --tail 5 app db"]),
        ("ps", ["docker compose ps --all"]),
        ("ps app", ["docker compose ps --all app"]),
        ("config", ["docker compose config"]),
        ("exec app ls -la", ["docker compose exec -T app ls -la"]),
        ("exec app -- ls", ["docker compose exec -T app ls"]),
        ("exec --user root app id -u", ["docker compose exec -T --user root app id -u"]),
        ("exec app env DB_PASSWORD=hunter2 ls", ["docker compose exec -T app env 'DB_PASSWORD=***' ls"]),
        ("exec-as-host app touch x", [f"docker compose exec -T --user {CALLER} app touch x"]),
        ("shell", ["docker compose exec -T app sh -c 'exec $(command -v bash || command -v sh)'"]),
        ("shell db", ["docker compose exec -T db sh -c 'exec $(command -v bash || command -v sh)'"]),
        ("stop", ["docker compose stop"]),
        ("stop app", ["docker compose stop app"]),
        ("restart app db", ["docker compose restart app db"]),
        ("down", ["docker compose down --remove-orphans"]),
        # Containers lose no message.
        ("stop app --yes", ["docker compose stop app"]),
        ("restart app --yes", ["docker compose restart app"]),
        ("down --yes", ["docker compose down --remove-orphans"]),
        ("build app up --build", ["docker compose build app", "docker compose up --detach --wait --build"]),
    ],
)
def test_task_shows_its_whole_lines(dry: Dry, words: str, lines: list[str]) -> None:
    assert dry(*words.split()) == lines


@pytest.mark.parametrize(
    "words",
    ["up ap", "build ap", "logs ap", "ps ap", "exec ap ls", "exec-as-host ap ls", "shell ap", "stop ap", "restart ap"],
)
def test_unknown_service_is_refused_before_anything_runs(engine: None, inv: Inv, words: str) -> None:
    message = (
        "no service is called `ap`: did you mean `app`? "
        "The compose files have app, broker, db, migrate, queues, worker-default\n"
    )
    assert inv(*words.split()) == (1, "", message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("exec", "`exec` needs a service and a command: type `./inv exec SERVICE COMMAND ...`\n"),
        ("exec app", "`exec` needs a service and a command: type `./inv exec SERVICE COMMAND ...`\n"),
        (
            "exec-as-host app",
            "`exec-as-host` needs a service and a command: type `./inv exec-as-host SERVICE COMMAND ...`\n",
        ),
        ("shell app db", "`shell` takes one service, not 2: type `./inv shell app`\n"),
    ],
)
def test_incomplete_command_is_refused(engine: None, inv: Inv, words: str, message: str) -> None:
    assert inv(*words.split()) == (1, "", message)


def test_first_command_makes_env_with_secrets_and_says_so(engine: None, bare: Path) -> None:
    bundle = {"SSL_CERT_FILE": "", "REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}
    said = "made .env from .env.template, with new secrets; only you can read it\n"
    code, _, errors = invoke(bare, "config", **bundle)
    errors = re.sub(r"you are root: .+\n", "", errors)
    errors = re.sub(r"port \d+ is taken on this machine: \w+=\d+ in \.env\n", "", errors)
    assert (code, errors) == (0, f"{said}+ docker compose config\n")

    values = dotenv_values(bare / ".env")
    assert stat.S_IMODE((bare / ".env").stat().st_mode) == 0o600
    assert values["COMPOSE_PROJECT_NAME"] == bare.name
    secrets = [values[name] or "" for name in ("SECRET_KEY", "DB_PASSWORD", "POSTGRES_PASSWORD")]
    assert len(set(secrets)) == 3
    assert min(map(len, secrets)) >= 20
    assert invoke(bare, "config", **bundle).errors == "+ docker compose config\n"
    assert dotenv_values(bare / ".env") == values


@pytest.mark.parametrize(
    "words",
    [
        "ps",
        "logs",
        "exec app ls",
        "exec-as-host app ls",
        "shell",
        "stop",
        "restart",
        "down",
        "manage check",
        "reset-db",
    ],
)
def test_other_tasks_name_the_one_that_makes_env(bare: Path, words: str) -> None:
    message = "there is no .env yet: type `./inv up`, which makes it from .env.template\n"
    assert invoke(bare, *words.split()) == (1, "", message)
    assert not (bare / ".env").exists()
