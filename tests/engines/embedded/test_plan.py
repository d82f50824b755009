"""Services that become programs: what each runs, with which environment, and what the supervisor reads of it."""

from __future__ import annotations

import configparser
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from berth.compose.config import Stack
from berth.engines.embedded import files, plan, programs, supervisor
from berth.engines.embedded.plan import Plan
from berth.engines.embedded.state import State
from berth.errors import Refused

STATE = State(Path("/project"), Path("/project/.berth/embedded"))
SCRIPTS = ["start-broker.sh", "start-database.sh", "ready-database.sh"]
SYSTEM = ":".join(programs.SYSTEM_PATH)


def bind(source: str, target: str) -> dict[str, str]:
    return {"type": "bind", "source": source, "target": target}


def port(target: int, published: str) -> dict[str, object]:
    return {"target": target, "published": published, "host_ip": "127.0.0.1"}


def services() -> dict[str, Any]:
    """Services as Compose resolves them, by other names than the example's."""
    worker = {
        "image": "shop-app:dev",
        "command": ["work", "mails"],
        "depends_on": {"site": {"condition": "service_healthy"}, "tables": {"condition": "service_started"}},
        "volumes": [bind("/project/code", "/home/web/code")],
        "restart": "unless-stopped",
        "stop_grace_period": "1m10s",
        "healthcheck": {"test": ["CMD-SHELL", "check worker"], "interval": "10s", "retries": 3, "start_period": "1m0s"},
    }
    return {
        "mailer": worker,
        "site": {
            "image": "shop-app:dev",
            "build": {"context": "/project", "dockerfile": "docker/site/Dockerfile", "target": "dev"},
            "labels": {"berth.role": "app"},
            "command": ["serve"],
            "environment": {"DB_HOST": "store", "DB_PORT": "5432", "URL": "sqs://queue:9324", "SECRET": "a$$b"},
            "ports": [port(8000, "8001")],
            "volumes": [bind("/project/code", "/home/web/code")],
            "healthcheck": {"test": ["CMD", "check.sh"], "retries": 5, "interval": "2s"},
        },
        "tables": {"image": "shop-app:dev", "command": ["migrate"], "restart": "no"},
        "store": {
            "image": "postgres:18",
            "labels": {"berth.role": "database"},
            "environment": {"DB_USER": "us:er", "DB_NAME": "shop", "DB_PASSWORD": "p\\w", "POSTGRES_PASSWORD": "root"},
            "ports": [port(5432, "5433")],
            "stop_signal": "SIGINT",
            "volumes": [bind("/project/docker/reset.sh", "/usr/local/bin/reset.sh")],
        },
        "queue": {"image": "queue:1", "labels": {"berth.role": "broker"}, "ports": [port(9324, "9325")]},
        "cache": {"image": "redis:8"},
    }


def stack(**changes: dict[str, Any]) -> Stack:
    """Return the stack with keys of services changed."""
    found = services()
    for service, change in changes.items():
        found[service] |= change
    return Stack(json.dumps({"name": "shop", "services": found}))


def planned(**changes: dict[str, Any]) -> Plan:
    return plan.make(stack(**changes), STATE, scripts=SCRIPTS, paths=["/tools/pg"])


def made(**changes: dict[str, Any]) -> dict[str, programs.Program]:
    return {program.service: program for program in planned(**changes).programs}


def test_services_come_behind_those_they_depend_on() -> None:
    names = list(made())
    assert sorted(names) == ["mailer", "queue", "site", "store", "tables"]
    assert names[-1] == "mailer"


def test_the_image_that_is_built_here_runs_its_command_behind_its_entry_point() -> None:
    found = made()
    assert [list(found[name].command) for name in ("site", "mailer", "tables")] == [
        ["entrypoint.sh", "serve"],
        ["entrypoint.sh", "work", "mails"],
        ["entrypoint.sh", "migrate"],
    ]
    assert {found[name].folder for name in ("site", "mailer")} == {"/project/code"}


def test_another_image_is_run_by_the_script_of_its_role() -> None:
    found = made()
    assert (list(found["store"].command), found["store"].folder) == (
        ["start-database.sh"],
        "/project/.berth/embedded/data/store",
    )
    assert (list(found["queue"].command), found["queue"].folder) == (
        ["start-broker.sh"],
        "/project/.berth/embedded/data/queue",
    )
    assert found["store"].files == [("/project/docker/reset.sh", "/usr/local/bin/reset.sh")]


def test_the_code_is_what_is_mounted_at_the_working_folder_of_the_image() -> None:
    binds = [
        bind("/project/conf", "/etc/site"),
        bind("/dev/null", "/home/web/code/.env"),
        bind("/src", "/home/web/code"),
    ]
    site = made(site={"volumes": binds})["site"]
    assert (site.folder, site.unmounted) == ("/src", ["/etc/site"])
    elsewhere = {"volumes": [bind("/src", "/srv")], "working_dir": "/srv/site"}
    assert made(mailer=elsewhere)["mailer"].folder == "/src/site"


def test_a_service_without_a_mount_has_the_code_of_the_image() -> None:
    assert made()["tables"].folder == "/project/code"


def test_code_that_is_in_the_image_only_needs_a_container() -> None:
    with pytest.raises(Refused, match=r"^`site` has no folder mounted at /home/web/code, its working folder: "):
        made(site={"volumes": [bind("/project/conf", "/etc/site")]})


def test_variables_that_are_not_set_are_left_out() -> None:
    environment = made(site={"environment": {"DEBUG": None, "NAME": ""}})["site"].environment
    assert "DEBUG" not in environment
    assert environment["NAME"] == ""


def needing(**rule: object) -> Plan:
    return planned(site={"depends_on": {"cache": {"condition": "service_started", **rule}}})


def test_what_depends_on_a_container_says_so_before_it_waits_for_ever() -> None:
    with pytest.raises(Refused, match=r"^`site` depends on `cache`, which only a container can run: "):
        needing().with_needs(["mailer"])
    assert [program.service for program in needing().with_needs(["store"])] == ["store"]


def test_nothing_waits_for_what_it_can_do_without_or_what_has_no_replica() -> None:
    found = needing(required=False)
    assert found.program("site").waits == {}
    assert "site" in [program.service for program in found.with_needs(["mailer"])]
    without = planned(tables={"deploy": {"replicas": 0}})
    assert without.program("mailer").waits == {"site": "service_healthy"}
    with pytest.raises(Refused, match=r"^`tables` has no replicas"):
        without.program("tables")


def test_services_are_stopped_before_those_they_depend_on() -> None:
    waves = [{program.service for program in wave} for wave in planned().waves(planned().programs)]
    assert waves == [{"mailer", "queue", "store"}, {"site", "tables"}]


def test_what_has_neither_needs_a_container() -> None:
    assert planned().left_out == ["cache"]


def test_the_shipped_image_needs_a_container() -> None:
    build = services()["site"]["build"] | {"target": "prod"}
    message = (
        r"^BUILD_TARGET is `prod`: without containers there is `dev` only; remove it from \.env, with the overlay in "
        r"COMPOSE_FILE, or set BERTH_ENGINE=docker$"
    )
    with pytest.raises(Refused, match=message):
        made(site={"build": build})


def test_a_new_worker_in_the_compose_file_is_a_program_too() -> None:
    found = services() | {"reporter": services()["mailer"] | {"command": ["work", "reports"]}}
    several = Stack(json.dumps({"name": "shop", "services": found}))
    names = [one.service for one in plan.make(several, STATE, scripts=SCRIPTS, paths=[]).programs]
    assert "reporter" in names


def test_a_worker_without_replicas_is_no_program() -> None:
    without = {"deploy": {"replicas": 0}}
    assert "mailer" not in made(mailer=without)
    assert planned(mailer=without).left_out == ["cache"]


def test_replicas_are_processes_with_names_of_their_own() -> None:
    program = made(mailer={"deploy": {"replicas": 2}})["mailer"]
    assert program.processes == ["mailer-1", "mailer-2"]
    assert program.words == ["mailer:mailer-1", "mailer:mailer-2"]


def test_the_environment_names_this_machine_instead_of_services() -> None:
    assert made()["site"].environment == {
        "DB_HOST": "127.0.0.1",
        "DB_PORT": "5433",
        "URL": "sqs://127.0.0.1:9325",
        "SECRET": "a$b",
        "BERTH_LIB": "/project/docker/site",
        "PYTHONPATH": "/project/docker/site",
        "PATH": f"/project/.berth/embedded/mounts/site/usr/local/bin:/project/.berth/embedded/bin:/project/.berth/embedded/packages/bin:/tools/pg:{SYSTEM}",
        "HEALTH_PORT": "8001",
        "LISTEN_ADDRESS": "127.0.0.1:8001",
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"A": "x=http://q:1/a,y=http://q:1/b"}, {"A": "x=http://127.0.0.1:7/a,y=http://127.0.0.1:7/b"}),
        ({"A": "q:12", "B": "my-q:1", "C": "q.example:1", "D": "q"}, None),
        ({"A_HOST": "q", "A_PORT": "1"}, {"A_HOST": "127.0.0.1", "A_PORT": "7"}),
        ({"A_HOST": "q", "A_PORT": "2"}, None),
        ({"A_HOST": "q.example.com", "A_PORT": "1"}, None),
        ({"A_HOST": "q"}, None),
    ],
)
def test_only_addresses_of_services_are_rewritten(before: dict[str, str], after: dict[str, str] | None) -> None:
    assert programs.localised(before, {("q", "1"): "7"}) == (after or before)


def test_clients_of_the_database_need_no_arguments() -> None:
    environment = made()["store"].environment
    assert {
        name: value for name, value in environment.items() if name.startswith(("PG", "INIT", "DATA", "MOUNTS"))
    } == {
        "DATA": "/project/.berth/embedded/data/store",
        "MOUNTS": "/project/.berth/embedded/mounts/store",
        "PGDATA": "/project/.berth/embedded/data/store/cluster",
        "PGHOST": "127.0.0.1",
        "PGPORT": "5433",
        "PGUSER": "us:er",
        "PGDATABASE": "shop",
        "PGPASSFILE": "/project/.berth/embedded/passwords/store",
        "INIT_SQL": "/project/.berth/embedded/mounts/store/docker-entrypoint-initdb.d/db.sql",
    }


def test_passwords_are_escaped_for_libpq() -> None:
    assert programs.passwords(made()["store"]) == "*:*:*:postgres:root\n*:*:*:us\\:er:p\\\\w\n"


def test_checks_and_bounds_are_those_of_the_compose_file() -> None:
    found = made()
    assert (list(found["site"].health), found["site"].patience) == (["check.sh"], 10)
    assert (list(found["mailer"].health), found["mailer"].patience) == (["sh", "-c", "check worker"], 90)
    assert (found["mailer"].grace, found["mailer"].stop_signal) == (70, signal.SIGTERM)
    assert (found["store"].grace, found["store"].stop_signal) == (10, signal.SIGINT)
    assert [name for name, program in found.items() if program.once] == ["tables"]


@pytest.mark.parametrize(
    "check", [{"test": ["NONE"]}, {"test": ["CMD", "x"], "disable": True}, {}], ids=["none", "disabled", "absent"]
)
def test_a_service_may_have_no_check(check: dict[str, Any]) -> None:
    assert list(made(site={"healthcheck": check})["site"].health) == []


@pytest.mark.parametrize(
    ("duration", "length"), [("10s", 10), ("1m30s", 90), ("250ms", 0.25), ("1h0m0.5s", 3600.5), ("0s", 0)]
)
def test_durations_are_read_as_compose_writes_them(duration: str, length: float) -> None:
    assert programs.seconds(duration) == length


def test_servers_lose_the_rights_of_root_and_the_project_keeps_its_callers() -> None:
    found = made()
    users = {name: json.loads(program.description((65534, 65534)))["user"] for name, program in found.items()}
    assert users == {"mailer": None, "site": None, "tables": None, "store": [65534, 65534], "queue": [65534, 65534]}


def test_the_supervisor_reads_no_secret_and_sees_every_change() -> None:
    found = list(made().values())

    def written(suffix: str) -> str:
        texts = {program.service: program.description(None) + suffix for program in found}
        return supervisor.configuration(found, Path("/project/100%.sock"), texts)

    text = written("")
    assert "a$b" not in text
    assert text != written(" ")
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(text)
    assert config["unix_http_server"]["file"] == "/project/100%%.sock"
    assert dict(config["program:store"]) | {"environment": ""} == {
        "command": '"%(here)s/bin/enter" store',
        "process_name": "store",
        "numprocs": "1",
        "numprocs_start": "1",
        "autostart": "false",
        "autorestart": "true",
        "startsecs": "0",
        "stopsignal": "INT",
        "stopwaitsecs": "10",
        "stopasgroup": "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": "%(here)s/logs/store.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "3",
        "environment": "",
    }
    assert {config[f"program:{name}"]["autorestart"] for name in ("site", "mailer")} == {"true"}
    assert config["program:tables"]["autorestart"] == "false"


def test_each_replica_has_a_log_of_its_own() -> None:
    program = made(mailer={"deploy": {"replicas": 2}})["mailer"]
    text = supervisor.configuration([program], Path("/s"), {"mailer": ""})
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(text)
    assert config["program:mailer"]["process_name"] == "mailer-%(process_num)d"
    assert config["program:mailer"]["stdout_logfile"] == "%(here)s/logs/mailer-%(process_num)d.log"


def test_scripts_of_the_image_become_commands(tmp_path: Path) -> None:
    (tmp_path / "start.sh").write_text("#!/bin/sh\n")
    (tmp_path / "wait_for_it.py").write_text("#!/opt/venv/bin/python -I\n")
    (tmp_path / "settings.py").write_text("A = 1\n")
    assert files.commands(tmp_path, STATE) == {
        "start.sh": "#!/bin/sh\n",
        "wait-for-it": f"#!/bin/sh\nexec '/project/.berth/embedded/packages/bin/python' -I '{tmp_path}/wait_for_it.py' \"$@\"\n",
    }


def test_enter_works_from_any_folder_and_with_any_path() -> None:
    assert files.enter(Path("/it's here/enter.py"), STATE) == (
        "#!/bin/sh\nexec '/project/.berth/embedded/tools/bin/python' -I '/it'\\''s here/enter.py' '/project/.berth/embedded' \"$@\"\n"
    )
