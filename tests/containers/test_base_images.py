"""The base images on a real engine: what their upstream twins promise, and what they do better."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from berth.base_images import builder

pytestmark = [pytest.mark.containers, pytest.mark.usefixtures("engine")]

PYTHON, POSTGRES, ELASTICMQ = "local/python:3.13", "local/postgres:18", "local/elasticmq:1.7.1"
Run = Callable[..., str]


def docker(*arguments: str, check: bool = True, text: str | None = None) -> subprocess.CompletedProcess[str]:
    made = subprocess.run(["docker", *arguments], input=text, capture_output=True, text=True, check=False, timeout=120)
    assert not check or made.returncode == 0, f"docker {' '.join(arguments)}: {made.stderr}{made.stdout}"
    return made


@pytest.fixture
def run() -> Iterator[Run]:
    """Start containers that are removed afterwards with their volumes. Gives their names."""
    names: list[str] = []

    def start(*arguments: str) -> str:
        names.append(f"base-images-{uuid.uuid4().hex[:8]}")
        docker("run", "--detach", "--name", names[-1], *arguments)
        return names[-1]

    yield start
    for name in names:
        docker("rm", "--force", "--volumes", name, check=False)


@pytest.fixture
def volume() -> Iterator[str]:
    name = f"base-images-{uuid.uuid4().hex[:8]}"
    docker("volume", "create", name)
    yield name
    for container in docker("ps", "--all", "--quiet", "--filter", f"volume={name}").stdout.split():
        docker("rm", "--force", container)
    docker("volume", "rm", name)


def within(seconds: float, condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def output(name: str) -> str:
    made = docker("logs", name)
    return made.stdout + made.stderr


def state(name: str, field: str) -> str:
    return docker("inspect", "--format", f"{{{{.State.{field}}}}}", name).stdout.strip()


def exit_code(name: str) -> int:
    return int(docker("wait", name).stdout)


def wait_until_ready(name: str) -> None:
    def ready() -> bool:
        assert state(name, "Running") == "true", output(name)
        return docker("exec", name, "pg_isready", "-q", "-U", "postgres", check=False).returncode == 0

    within(30, ready, f"{name} is ready")


def query(name: str, sql: str, *arguments: str, user: str = "postgres") -> str:
    return docker("exec", name, "psql", "-U", user, "-Atc", sql, *arguments).stdout.strip()


def reaches(name: str, password: str, user: str = "postgres", database: str = "postgres") -> bool:
    """Whether a client from outside (not 127.0.0.1, which is trusted) gets in with this password."""
    script = 'exec psql -h "$(hostname -i)" -U "$1" -d "$2" -Atc "SELECT 1"'
    made = docker("exec", "-e", f"PGPASSWORD={password}", name, "bash", "-c", script, "-", user, database, check=False)
    return made.stdout.strip() == "1"


def init_folder(tmp_path: Path, **files: str | bytes) -> tuple[str, str]:
    """Return the options that mount these files to /docker-entrypoint-initdb.d; "__" in a name stands for a dot."""
    for name, content in files.items():
        path = tmp_path / name.replace("__", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o755 if "executed" in name else 0o644)
    tmp_path.chmod(0o755)
    return "--volume", f"{tmp_path}:/docker-entrypoint-initdb.d:ro"


# python


def test_python_is_3_13_under_both_names() -> None:
    script = "python --version; python3 --version; pip --version"
    lines = docker("run", "--rm", PYTHON, "bash", "-c", script).stdout.splitlines()
    assert [line.rsplit(".", 1)[0] for line in lines[:2]] == ["Python 3.13", "Python 3.13"]
    assert lines[2].endswith("(python 3.13)")


def test_python_starts_python_without_a_command() -> None:
    assert docker("run", "--rm", "--interactive", PYTHON, text="print(6 * 7)").stdout == "42\n"


def test_pip_installs_upgrades_and_removes_in_the_python_image(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        '[project]\nname = "hello"\nversion = "1"\n[project.scripts]\nhello = "hello:main"\n'
        '[build-system]\nrequires = []\nbackend-path = ["."]\nbuild-backend = "backend"\n'
    )
    (package / "backend.py").write_text(
        "import zipfile\n"
        "def build_wheel(folder, *_):\n"
        "    with zipfile.ZipFile(f'{folder}/hello-1-py3-none-any.whl', 'w') as wheel:\n"
        "        info = 'hello-1.dist-info'\n"
        "        wheel.writestr('hello.py', 'def main(): print(\"hello\")')\n"
        "        wheel.writestr(f'{info}/METADATA', 'Metadata-Version: 2.1\\nName: hello\\nVersion: 1\\n')\n"
        "        wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "        wheel.writestr(f'{info}/entry_points.txt', '[console_scripts]\\nhello = hello:main\\n')\n"
        "        wheel.writestr(f'{info}/RECORD', '')\n"
        "    return 'hello-1-py3-none-any.whl'\n"
    )
    script = (
        "cp -r /package /tmp/package && python -m pip install -q --no-index --root-user-action ignore /tmp/package"
        " && hello && pip uninstall -qy --root-user-action ignore hello pip && ! python -c 'import pip' 2>/dev/null"
        " && python -m venv /tmp/venv && /tmp/venv/bin/pip install -q --no-index /tmp/package && /tmp/venv/bin/hello"
    )
    made = docker("run", "--rm", "--volume", f"{package}:/package:ro", PYTHON, "bash", "-euc", script)
    assert made.stdout == "hello\nhello\n"


def test_apt_installs_in_the_python_image_and_leaves_no_archives_behind() -> None:
    script = (
        "apt-get -qq update && apt-get -qq install --yes --no-install-recommends jq >/dev/null 2>&1"
        " && jq --version && find /var/cache/apt -name '*.deb' -o -name '*.bin'"
    )
    assert docker("run", "--rm", PYTHON, "bash", "-c", script).stdout.startswith("jq-1.")
    assert docker("run", "--rm", PYTHON, "bash", "-c", script).stdout.count("\n") == 1


def test_python_knows_time_zones_protocols_and_certificates() -> None:
    code = (
        "import datetime, socket, ssl, zoneinfo;"
        "print(datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).utcoffset().seconds,"
        "socket.getprotobyname('tcp'), len(ssl.create_default_context().get_ca_certs()) > 100)"
    )
    assert docker("run", "--rm", PYTHON, "python", "-c", code).stdout == "7200 6 True\n"


# all of them


@pytest.mark.parametrize("image", [PYTHON, POSTGRES, ELASTICMQ])
def test_nothing_of_the_host_is_left_in(image: str) -> None:
    """No CA of the host, no secret, no setting of pip or jgo, no list of packages, no cache."""
    script = (
        "find /run/secrets /etc/pip.conf /root/.config /root/.pip /root/.m2 /root/.cache /build"
        " /usr/local/share/ca-certificates /var/lib/apt/lists/*_* /var/cache/apt/*.bin /tmp -type f 2>/dev/null;"
        " cat /etc/ssl/certs/ca-certificates.crt 2>/dev/null | sort | sha256sum;"
        " cat $(dpkg -L ca-certificates 2>/dev/null | grep '\\.crt$' ; echo /dev/null) | sort | sha256sum; env"
    )
    made = docker("run", "--rm", "--user", "0", "--entrypoint", "bash", image, "-c", script)
    bundle, packaged, *environment = made.stdout.splitlines()
    assert bundle == packaged
    names = {line.partition("=")[0] for line in environment}
    assert names <= {
        *("PATH", "HOSTNAME", "HOME", "LANG", "PWD", "SHLVL", "_"),
        *("PG_MAJOR", "PGDATA", "JAVA_HOME"),
    }
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout
    assert [word for word in ("PROXY", "proxy", "INDEX_URL") if word in history] == []


# postgres


def test_postgres_refuses_to_start_without_a_password() -> None:
    made = docker("run", "--rm", POSTGRES, check=False)
    assert (made.returncode, made.stderr) == (
        1,
        (
            "error: the database is uninitialized and the superuser password is not specified:\n"
            "       set POSTGRES_PASSWORD to a non-empty value, for example `docker run -e POSTGRES_PASSWORD=...`,\n"
            "       or POSTGRES_PASSWORD_FILE to the path of a file that holds it.\n"
            "       POSTGRES_HOST_AUTH_METHOD=trust lets everybody in without a password: not recommended.\n"
        ),
    )


def test_postgres_asks_clients_from_outside_for_the_password(run: Run) -> None:
    name = run("-e", 'POSTGRES_PASSWORD=it\'s "$x" \\ ü', POSTGRES)
    wait_until_ready(name)
    assert reaches(name, 'it\'s "$x" \\ ü')
    assert not reaches(name, "wrong")
    assert query(name, "SHOW server_version_num").startswith("18")
    assert query(name, "SHOW data_directory") == "/var/lib/postgresql/18/docker"
    assert query(name, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "en_US.utf8"
    assert docker("exec", name, "id", "postgres").stdout.startswith("uid=999(postgres) gid=999(postgres) ")
    owners = docker("exec", name, "bash", "-c", "stat -c %u:%g /proc/1 $PGDATA/PG_VERSION; command -v pg_dump").stdout
    assert owners.splitlines()[:2] == ["999:999", "999:999"]


def test_postgres_makes_the_named_user_and_database(run: Run) -> None:
    name = run("-e", "POSTGRES_PASSWORD=p", "-e", "POSTGRES_USER=o h-x", "-e", "POSTGRES_DB=a=b 'c", POSTGRES)
    wait_until_ready(name)
    assert reaches(name, "p", "o h-x", "dbname='a=b \\'c'")
    assert query(name, "SELECT rolname FROM pg_roles WHERE rolsuper", "template1", user="o h-x") == "o h-x"


def test_the_database_is_named_after_the_user_by_default(run: Run) -> None:
    name = run("-e", "POSTGRES_PASSWORD=p", "-e", "POSTGRES_USER=shop", POSTGRES)
    wait_until_ready(name)
    assert query(name, "SELECT current_database()", user="shop") == "shop"


def test_initdb_takes_the_further_arguments(run: Run) -> None:
    arguments = "--no-data-checksums --set 'cluster_name=two words' --auth-local=scram-sha-256"
    name = run("-e", "POSTGRES_PASSWORD=p", "-e", f"POSTGRES_INITDB_ARGS={arguments}", "-e", "PGPASSWORD=p", POSTGRES)
    wait_until_ready(name)
    assert query(name, "SHOW data_checksums") == "off"
    assert query(name, "SHOW cluster_name") == "two words"


def test_the_host_auth_method_trust_needs_no_password(run: Run) -> None:
    name = run("-e", "POSTGRES_HOST_AUTH_METHOD=trust", POSTGRES)
    wait_until_ready(name)
    assert reaches(name, "")
    assert "warning: POSTGRES_HOST_AUTH_METHOD is trust: anyone who reaches the port is let in" in output(name)


def test_every_variable_may_come_from_a_file(run: Run, tmp_path: Path) -> None:
    values = {
        "PASSWORD": "p w",
        "USER": "u",
        "DB": "d",
        "INITDB_ARGS": "--no-data-checksums",
        "HOST_AUTH_METHOD": "md5",
    }
    options = ["--volume", f"{tmp_path}:/files:ro"]
    tmp_path.chmod(0o755)
    for variable, value in values.items():
        (tmp_path / variable).write_text(f"{value}\n")
        options += ["-e", f"POSTGRES_{variable}_FILE=/files/{variable}"]
    name = run(*options, POSTGRES)
    wait_until_ready(name)
    assert reaches(name, "p w", "u", "d")
    assert query(name, "SHOW data_checksums", "d", user="u") == "off"
    rule = "SELECT auth_method FROM pg_hba_file_rules WHERE address = 'all'"
    assert query(name, rule, "d", user="u") == "md5"


@pytest.mark.parametrize("variable", ["PASSWORD", "USER", "DB", "INITDB_ARGS", "HOST_AUTH_METHOD"])
def test_a_variable_and_its_file_exclude_each_other(variable: str) -> None:
    name = f"POSTGRES_{variable}"
    made = docker("run", "--rm", "-e", f"{name}=x", "-e", f"{name}_FILE=/etc/hostname", POSTGRES, check=False)
    assert (made.returncode, made.stderr) == (
        1,
        f"docker-entrypoint.sh: error: both {name} and {name}_FILE are set: keep one of them\n",
    )


def test_a_file_that_cannot_be_read_is_named() -> None:
    made = docker("run", "--rm", "-e", "POSTGRES_PASSWORD_FILE=/nowhere", POSTGRES, check=False)
    assert (made.returncode, made.stderr) == (
        1,
        "docker-entrypoint.sh: error: cannot read /nowhere, the value of POSTGRES_PASSWORD_FILE\n",
    )


def test_files_of_the_init_folder_run_in_order_and_are_printed(run: Run, tmp_path: Path) -> None:
    def insert(name: str) -> str:
        return f"INSERT INTO log VALUES ('{name} ' || current_user || ' ' || current_database());\n"

    zst = subprocess.run(
        ["docker", "run", "--rm", "-i", "--entrypoint", "zstd", POSTGRES, "-c"],
        input=insert("zst").encode(),
        capture_output=True,
        check=True,
    ).stdout
    query_of_shell = 'psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -c "{}"'
    options = init_folder(
        tmp_path,
        a__sql=f"CREATE TABLE log (line text);\n{insert('sql')}",
        b__sql__gz=gzip.compress(insert("gz").encode()),
        c__sql__xz=lzma.compress(insert("xz").encode()),
        d__sql__zst=zst,
        e_executed__sh="#!/bin/bash\n" + query_of_shell.format(insert("executed").strip()),
        f_sourced__sh='docker_process_sql <<<"' + insert("sourced").strip() + '"\n',
        g__txt="not to be run",
    )
    name = run("-e", "POSTGRES_PASSWORD=p", "-e", "POSTGRES_USER=u", "-e", "POSTGRES_DB=d", *options, POSTGRES)
    wait_until_ready(name)
    names = ["sql", "gz", "xz", "zst", "executed", "sourced"]
    assert query(name, "SELECT * FROM log", "d", user="u").splitlines() == [f"{name} u d" for name in names]
    said = [line for line in output(name).splitlines() if "initdb.d" in line]
    assert said == [
        "docker-entrypoint.sh: running /docker-entrypoint-initdb.d/a.sql",
        "docker-entrypoint.sh: running /docker-entrypoint-initdb.d/b.sql.gz",
        "docker-entrypoint.sh: running /docker-entrypoint-initdb.d/c.sql.xz",
        "docker-entrypoint.sh: running /docker-entrypoint-initdb.d/d.sql.zst",
        "docker-entrypoint.sh: running /docker-entrypoint-initdb.d/e_executed.sh",
        "docker-entrypoint.sh: sourcing /docker-entrypoint-initdb.d/f_sourced.sh",
        "docker-entrypoint.sh: ignoring /docker-entrypoint-initdb.d/g.txt",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a__sql", "SELECT no_such_column; SELECT 1;"),
        ("a_executed__sh", "#!/bin/sh\nexit 3\n"),
        ("a_sourced__sh", "false\n"),
        ("a__sql__gz", b"not compressed"),
    ],
)
def test_a_failing_init_file_fails_every_start(run: Run, tmp_path: Path, name: str, content: str | bytes) -> None:
    container = run("-e", "POSTGRES_PASSWORD=p", *init_folder(tmp_path, **{name: content}), POSTGRES)
    assert exit_code(container) != 0
    docker("start", container)
    assert exit_code(container) != 0
    assert output(container).count("the last set-up of /var/lib/postgresql/18/docker was interrupted") == 1
    assert "listening on IPv4" not in output(container)


def test_nobody_reaches_the_server_while_the_init_files_run(run: Run, tmp_path: Path) -> None:
    options = init_folder(tmp_path, a_sourced__sh="until [[ -e /tmp/go ]]; do sleep 0.1; done\n")
    name = run("-e", "POSTGRES_PASSWORD=p", *options, POSTGRES)
    within(20, lambda: "sourcing" in output(name), "the init file runs")
    for host in ((), ("--host", "127.0.0.1")):
        made = docker("exec", name, "pg_isready", "-U", "postgres", *host, check=False)
        assert (made.returncode, made.stdout.split(" - ")[1]) == (2, "no response\n")
    docker("exec", name, "touch", "/tmp/go")
    wait_until_ready(name)


def test_a_restart_keeps_the_data_and_runs_no_init_file_again(run: Run, tmp_path: Path) -> None:
    name = run("-e", "POSTGRES_PASSWORD=p", *init_folder(tmp_path, a__sql="CREATE TABLE kept (x int)"), POSTGRES)
    wait_until_ready(name)
    query(name, "INSERT INTO kept VALUES (7)")
    docker("restart", name)
    wait_until_ready(name)
    assert query(name, "SELECT x FROM kept") == "7"
    assert output(name).count("running /docker-entrypoint-initdb.d/a.sql") == 1


def test_another_container_takes_over_the_volume_without_a_password(run: Run, volume: str) -> None:
    first = run("-e", "POSTGRES_PASSWORD=p", "--volume", f"{volume}:/var/lib/postgresql", POSTGRES)
    wait_until_ready(first)
    query(first, "CREATE TABLE kept (x int)")
    docker("rm", "--force", first)
    second = run("--volume", f"{volume}:/var/lib/postgresql", POSTGRES)
    wait_until_ready(second)
    assert query(second, "SELECT count(*) FROM kept") == "0"


@pytest.mark.parametrize("init", [(), ("--init",)])
def test_postgres_stops_cleanly_with_clients_connected(run: Run, init: tuple[str, ...]) -> None:
    name = run(*init, "-e", "POSTGRES_PASSWORD=p", POSTGRES)
    wait_until_ready(name)
    docker("exec", "--detach", name, "psql", "-U", "postgres", "-c", "SELECT pg_sleep(60)")
    within(
        10,
        lambda: query(name, "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'sleep.60'") >= "1",
        "a client",
    )
    began = time.monotonic()
    docker("stop", "--time", "30", name)
    assert time.monotonic() - began < 5
    assert state(name, "ExitCode") == "0"
    assert output(name).rstrip().endswith("database system is shut down")


@pytest.mark.parametrize("init", [(), ("--init",)])
def test_postgres_stops_at_once_during_the_set_up(run: Run, tmp_path: Path, init: tuple[str, ...]) -> None:
    options = init_folder(tmp_path, a__sql="SELECT pg_sleep(60)")
    name = run(*init, "-e", "POSTGRES_PASSWORD=p", *options, POSTGRES)
    within(20, lambda: "running" in output(name), "the init file runs")
    began = time.monotonic()
    docker("stop", "--time", "30", name)
    assert time.monotonic() - began < 5
    assert state(name, "ExitCode") == "143"


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65])
def test_a_first_start_killed_at_any_time_is_done_again(run: Run, tmp_path: Path, delay: float) -> None:
    name = run("-e", "POSTGRES_PASSWORD=p", *init_folder(tmp_path, a__sql="CREATE TABLE made (x int)"), POSTGRES)
    time.sleep(delay)
    docker("kill", "--signal", "KILL", name)
    docker("start", name)
    wait_until_ready(name)
    assert query(name, "SELECT count(*) FROM made") == "0"
    assert reaches(name, "p")
    assert docker("exec", name, "bash", "-c", "ls -A $PGDATA | grep '^[.]'", check=False).stdout == ""


def test_a_first_start_killed_in_its_init_files_is_done_again(run: Run, tmp_path: Path) -> None:
    options = init_folder(
        tmp_path,
        a__sql="CREATE TABLE made (x int)",
        b_sourced__sh="[[ -e /tmp/second ]] || { touch /tmp/second; sleep 60; }\n",
        c__sql="INSERT INTO made VALUES (1)",
    )
    name = run("-e", "POSTGRES_PASSWORD=p", *options, POSTGRES)
    within(20, lambda: "sourcing" in output(name), "the init files run")
    docker("kill", "--signal", "KILL", name)
    docker("start", name)
    wait_until_ready(name)
    assert query(name, "SELECT count(*) FROM made") == "1"
    assert "the last set-up of /var/lib/postgresql/18/docker was interrupted, starting over" in output(name)


def test_files_of_somebody_else_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    made = docker(
        *(
            "run",
            "--rm",
            "-e",
            "POSTGRES_PASSWORD=p",
            "-e",
            "PGDATA=/data",
            "--volume",
            f"{tmp_path}:/data",
            POSTGRES,
        ),
        check=False,
    )
    assert (made.returncode, made.stderr) == (
        1,
        (
            "docker-entrypoint.sh: error: /data holds files, but no database: "
            "empty it, or set PGDATA to a directory of its own\n"
        ),
    )
    assert (tmp_path / "letter").read_text() == "dear"
    assert {path.stat().st_uid for path in (tmp_path, tmp_path / "letter")} == {os.getuid()}


def test_a_volume_at_the_path_of_older_images_is_refused(volume: str) -> None:
    made = docker(
        *(
            "run",
            "--rm",
            "-e",
            "POSTGRES_PASSWORD=p",
            "--volume",
            f"{volume}:/var/lib/postgresql/data",
            POSTGRES,
        ),
        check=False,
    )
    assert (made.returncode, made.stderr) == (
        1,
        (
            "docker-entrypoint.sh: error: a volume is mounted at /var/lib/postgresql/data, but the data directory is "
            "/var/lib/postgresql/18/docker: mount it at /var/lib/postgresql, or set PGDATA\n"
        ),
    )


def test_pgdata_may_be_the_mount_itself(run: Run, volume: str) -> None:
    options = ("-e", "POSTGRES_PASSWORD=p", "-e", "PGDATA=/data", "--volume", f"{volume}:/data")
    name = run(*options, POSTGRES)
    wait_until_ready(name)
    assert query(name, "SHOW data_directory") == "/data"
    docker("rm", "--force", "--volumes", name)


def test_postgres_runs_as_any_user(run: Run) -> None:
    name = run("--user", "1234:20", "-e", "POSTGRES_PASSWORD=p", POSTGRES)
    wait_until_ready(name)
    assert docker("exec", name, "bash", "-c", "stat -c %u:%g /proc/1 $PGDATA").stdout == "1234:20\n1234:20\n"
    assert reaches(name, "p")
    docker("stop", name)
    assert state(name, "ExitCode") == "0"


def test_postgres_takes_options_and_any_command(run: Run) -> None:
    name = run("-e", "POSTGRES_PASSWORD=p", POSTGRES, "-c", "max_connections=42")
    wait_until_ready(name)
    assert query(name, "SHOW max_connections") == "42"
    assert docker("run", "--rm", POSTGRES, "echo", "a  b").stdout == "a  b\n"
    assert docker("run", "--rm", POSTGRES, "postgres", "--version").stdout.startswith("postgres (PostgreSQL) 18.")


# elasticmq


def address_of(name: str) -> str:
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return docker("inspect", "--format", template, name).stdout.strip()


def health_of(name: str) -> Callable[[], bool]:
    address = address_of(name)

    def answers() -> bool:
        assert state(name, "Running") == "true", output(name)
        try:
            with urllib.request.urlopen(f"http://{address}:9324/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    return answers


def queues(name: str) -> set[str]:
    urls = ask(name, "ListQueues").get("QueueUrls", [])
    assert isinstance(urls, list)
    return {url.rpartition("/")[2] for url in urls}


def ask(name: str, action: str, **arguments: object) -> dict[str, object]:
    address = address_of(name)
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
    url = f"http://{address}:9324"
    request = urllib.request.Request(url, json.dumps(arguments).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.loads(answer.read() or b"{}"))


def received(name: str, url: str) -> list[str]:
    try:
        messages = ask(name, "ReceiveMessage", QueueUrl=url).get("Messages", [])
    except urllib.error.HTTPError as error:
        assert "QueueDoesNotExist" in error.read().decode()
        return []
    assert isinstance(messages, list)
    return [message["Body"] for message in messages]


@pytest.mark.parametrize("options", [(), ("--user", "0:0", "--cap-drop", "ALL"), ("--init", "--read-only")])
def test_elasticmq_answers_and_stops_soon(run: Run, options: tuple[str, ...]) -> None:
    name = run(*options, ELASTICMQ)
    within(20, health_of(name), "/health answers")
    began = time.monotonic()
    docker("stop", name)
    assert time.monotonic() - began < 5
    assert state(name, "ExitCode") == "143"


def test_elasticmq_is_no_root_and_has_bash_and_java(run: Run) -> None:
    name = run(ELASTICMQ)
    within(20, health_of(name), "/health answers")
    assert docker("exec", name, "id", "-u").stdout == "1001\n"
    probe = "exec 3<>/dev/tcp/127.0.0.1/9324; printf 'GET /health HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n' >&3; head -n 1 <&3"
    assert docker("exec", name, "bash", "-c", probe).stdout == "HTTP/1.1 200 OK\n"
    assert 'version "25.' in docker("exec", name, "java", "-version").stderr
    assert "started in" in output(name)


def test_elasticmq_uses_its_archive_of_classes(run: Run) -> None:
    """Without -XX:AOTMode=on the JVM would go on without it, and start in twice the time."""
    name = run("-e", "JDK_JAVA_OPTIONS=-XX:AOTMode=on", ELASTICMQ)
    within(20, health_of(name), "/health answers")
    assert [line for line in output(name).splitlines() if "[aot" in line] == []


@pytest.mark.parametrize("user", ["1001:1001", "0:0"])
def test_elasticmq_reads_its_file_and_keeps_messages_on_a_fresh_volume(
    run: Run, volume: str, tmp_path: Path, user: str
) -> None:
    (tmp_path / "custom.conf").write_text(
        'include classpath("application.conf")\n'
        "messages-storage.enabled = true\n"
        'messages-storage.uri = "jdbc:h2:/var/lib/elasticmq/messages;WRITE_DELAY=0"\n'
        "queues.shop.deadLettersQueue { name = shop-dead, maxReceiveCount = 3 }\nqueues.shop-dead {}\n"
    )
    tmp_path.chmod(0o755)
    name = run(
        *("--user", user, "--cap-drop", "ALL", "--volume", f"{volume}:/var/lib/elasticmq"),
        *("--volume", f"{tmp_path}/custom.conf:/opt/elasticmq.conf:ro", ELASTICMQ),
    )
    # /health answers up to 0.1 s before the queues, and then their messages, are there.
    within(20, health_of(name), "/health answers")
    url = f"http://{address_of(name)}:9324/000000000000/shop"
    within(20, lambda: queues(name) == {"shop", "shop-dead"}, "the queues are there")
    ask(name, "SendMessage", QueueUrl=url, MessageBody="kept")
    docker("kill", "--signal", "KILL", name)
    docker("start", name)
    within(20, health_of(name), "/health answers")
    within(20, lambda: received(name, url) == ["kept"], "the message is back")


def test_a_wrong_checksum_fails_the_build(tmp_path: Path) -> None:
    shutil.copytree(builder.RECIPES, folder := tmp_path / "recipes")
    shutil.copy(builder.BUILD, tmp_path)
    lock = folder / "elasticmq" / "jgo.lock.toml"
    right = lock.read_text().split('sha256 = "')[1].split('"')[0]
    lock.write_text(lock.read_text().replace(right, "0" * 64))
    recipe = folder / "elasticmq" / "recipe.conf"
    recipe.write_text(recipe.read_text().replace("TAG=local/elasticmq:1.7.1", "TAG=local/elasticmq:wrong"))
    made = subprocess.run([tmp_path / "build", "elasticmq"], capture_output=True, text=True, check=False, timeout=300)
    assert made.returncode != 0
    assert "cannot fetch the jars of jgo.lock.toml:" in made.stderr
    assert f"elasticmq-server_2.13-1.7.1.jar: sha256 is {right}, locked is {'0' * 64}" in made.stderr
    assert docker("image", "inspect", "local/elasticmq:wrong", check=False).returncode == 1
