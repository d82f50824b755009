"""What a user does, with the same outcome whichever engine runs the services. The tests are steps of one session."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator

import pytest
from containers.checkout import Checkout, checkout, ok, within
from embedded.conftest import Stack, embedded

EXPORT = b"""
from users.models import UserExport
from users.tasks import export_users

export = UserExport.objects.create()
export_users.delay(export.pk)
print("exporting", export.pk)
"""


@pytest.fixture(scope="module", params=[pytest.param("docker", marks=pytest.mark.containers), "embedded"])
def session(request: pytest.FixtureRequest) -> Iterator[Checkout]:
    """A clean copy, before its first `up`."""
    if request.param == "docker":
        request.getfixturevalue("engine")
    with checkout() as made:
        if request.param == "docker":
            made.prepare()
            yield made
            return
        try:
            yield embedded(made)
        finally:
            assert isinstance(made, Stack)
            made.end()


def answers(session: Checkout, path: str = "/status/ready/") -> bool:
    return session.get(path).status == 200


def sql(session: Checkout, query: str) -> str:
    words = ["psql", "--username=postgres", f"--dbname={session.value('DB_NAME')}", "-qAtc", query]
    return ok(session.inv("exec", "db", *words)).stdout


def test_up_says_where_the_services_are(session: Checkout) -> None:
    made = ok(session.inv("up"))
    port = {service: session.port(service) for service in ("APP", "DB", "BROKER", "QUEUES")}
    assert made.stdout[made.stdout.index("service ") :].splitlines() == [
        "service         state    address",
        f"app             healthy  http://127.0.0.1:{port['APP']}",
        f"broker          healthy  http://127.0.0.1:{port['BROKER']}",
        f"db              healthy  127.0.0.1:{port['DB']}",
        "migrate         done",
        f"queues          healthy  http://127.0.0.1:{port['QUEUES']}",
        "worker-default  healthy",
    ]


@pytest.mark.parametrize("path", ["/", "/status/", "/status/ready/", "/admin/login/"])
def test_pages_are_there(session: Checkout, path: str) -> None:
    assert session.get(path).status == 200


def test_ps_names_every_service_that_runs(session: Checkout) -> None:
    shown = ok(session.inv("ps")).stdout
    assert [name for name in ("app", "broker", "db", "queues", "worker-default") if name not in shown] == []


def test_manage_answers_and_its_exit_code_is_kept(session: Checkout) -> None:
    assert ok(session.inv("manage", "check")).stdout == "System check identified no issues (0 silenced).\n"
    wrong = session.inv("manage", "nonsense")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "Unknown command: 'nonsense'" in wrong.stderr


def test_commands_get_their_input_and_keep_their_exit_code(session: Checkout) -> None:
    data = bytes(range(256)) * 1000
    digest = hashlib.sha256(data).hexdigest()
    assert ok(session.inv("exec", "app", "sha256sum", stdin=data)).stdout == f"{digest}  -\n"
    assert session.inv("exec", "worker-default", "sh", "-c", "exit 7").returncode == 7


def test_the_database_is_postgresql_18_with_a_role_that_is_no_superuser(session: Checkout) -> None:
    assert sql(session, "SELECT current_setting('server_version_num')::int / 10000") == "18\n"
    assert sql(session, "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = 'app'") == "f|t\n"


def test_a_task_goes_through_the_queue_into_the_worker(session: Checkout) -> None:
    said = ok(session.inv("manage", "shell", stdin=EXPORT)).stdout
    number = int(said.split()[said.split().index("exporting") + 1])
    status = f"SELECT status FROM users_userexport WHERE id = {number}"
    within(30, lambda: sql(session, status) == "finished\n", "the export is finished")
    assert "task=users.tasks.export_users" in ok(session.inv("logs", "worker-default")).stdout


def test_logs_can_be_cut_and_are_those_of_the_service(session: Checkout) -> None:
    assert len(ok(session.inv("logs", "app", "--tail", "1")).stdout.splitlines()) == 1
    assert "ElasticMQ server (1.7.1) started" in ok(session.inv("logs", "broker")).stdout
    assert "ElasticMQ" not in ok(session.inv("logs", "app")).stdout


def test_an_edit_is_served(session: Checkout) -> None:
    view = session.root / "app/welcome/views.py"
    text = view.read_text()
    try:
        view.write_text(text.replace('"name": "Database"', '"name": "Edited just now"'))
        within(30, lambda: b"Edited just now" in session.get("/").body, "the server shows the edit")
    finally:
        view.write_text(text)
    within(30, lambda: b"Edited just now" not in session.get("/").body, "the server shows the old text")


def test_a_service_is_stopped_and_started_alone(session: Checkout) -> None:
    ok(session.inv("stop", "app"))
    assert session.get("/status/").status == 0
    assert sql(session, "SELECT 1") == "1\n"
    ok(session.inv("up", "app"))
    assert answers(session)


def test_services_are_restarted(session: Checkout) -> None:
    ok(session.inv("restart", "app", "worker-default"))
    within(30, lambda: answers(session), "/status/ready/ answers 200")


def test_an_unknown_service_is_refused_in_one_line(session: Checkout) -> None:
    made = session.inv("exec", "ap", "ls")
    assert (made.returncode, made.stdout) == (1, "")
    assert made.stderr.splitlines()[-1] == (
        "no service is called `ap`: did you mean `app`? The compose files have app, broker, db, migrate, queues, "
        "worker-default"
    )


def test_a_command_in_a_stopped_service_is_refused(session: Checkout) -> None:
    ok(session.inv("stop", "worker-default"))
    made = session.inv("exec", "worker-default", "true")
    assert made.returncode == 1
    assert 'service "worker-default" is not running' in made.stderr.replace("`", '"')


def queues(session: Checkout) -> dict[str, int]:
    return {queue["name"]: queue["total"] for queue in json.loads(ok(session.inv("queue", "--json")).stdout)}


def test_queues_are_seen_and_only_a_purge_loses_what_is_in_them(session: Checkout) -> None:
    """The worker is stopped."""
    assert queues(session) == {"default": 0, "default-dead-letters": 0}
    words = ["users.tasks.export_users", "--args", "[1000000]", "--queue", "default-dead-letters"]
    number = ok(session.inv("queue.send", *words)).stdout.strip()
    (found,) = json.loads(ok(session.inv("queue.peek", "default-dead-letters", "--json")).stdout)
    assert (found["task"], found["task_id"], found["args"]) == ("users.tasks.export_users", number, "[1000000]")
    assert b"<title>Queues</title>" in session.get("/", "QUEUES").body
    assert json.loads(session.get("/api/queues", "QUEUES").body)["error"] is None
    ok(session.inv("queue.redrive", "default-dead-letters", number))
    refused = session.inv("queue.peek")
    assert refused.returncode == 1
    assert "`queue.peek` counts as a delivery and nobody is there to ask" in refused.stderr
    assert f"id {number}" in ok(session.inv("queue.peek", "--yes")).stdout
    refused = session.inv("queue.purge", "default")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].endswith("type `./inv queue.purge default --yes`")
    assert queues(session) == {"default": 1, "default-dead-letters": 0}
    assert ok(session.inv("queue.purge", "default", "--yes")).stdout == "`default` is empty now: 1 deleted\n"
    assert queues(session) == {"default": 0, "default-dead-letters": 0}
    assert ok(session.inv("queue.check")).stdout == "all is as queues.toml says: default, default-dead-letters\n"


def test_data_outlives_down(session: Checkout) -> None:
    name = uuid.uuid4().hex
    sql(session, f"CREATE TABLE kept AS SELECT '{name}' AS name")
    ok(session.inv("down"))
    assert session.get("/status/").status == 0
    ok(session.inv("up"))
    assert sql(session, "SELECT name FROM kept") == f"{name}\n"


def test_manage_works_while_the_stack_is_down(session: Checkout) -> None:
    ok(session.inv("down"))
    assert "[X] 0001_initial" in ok(session.inv("manage", "showmigrations", "users")).stdout
    ok(session.inv("up"))


def test_the_database_is_made_anew(session: Checkout) -> None:
    refused = session.inv("reset-db")
    assert refused.returncode == 1
    assert "`reset-db` deletes data and nobody is there to ask" in refused.stderr
    assert sql(session, "SELECT count(*) FROM kept") == "1\n"
    ok(session.inv("reset-db", "--yes"))
    assert sql(session, "SELECT to_regclass('kept') IS NULL, to_regclass('users_userexport') IS NULL") == "t|f\n"
    within(30, lambda: answers(session), "/status/ready/ answers 200")


def test_build_and_config_succeed(session: Checkout) -> None:
    ok(session.inv("build"))
    assert f"name: {session.name}\n" in ok(session.inv("config")).stdout


def test_down_leaves_no_port_open(session: Checkout) -> None:
    ok(session.inv("down"))
    for service in ("APP", "DB", "BROKER", "QUEUES"):
        assert session.get("/", service).status == 0
    ok(session.inv("down"))
