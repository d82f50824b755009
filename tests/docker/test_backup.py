"""backup.sh and store_backup.py: out of a real server, into a store, back, and into a server of its own."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import psycopg2
import pytest
from servers import DB_SQL, ROOT, UNPRIVILEGED, Postgres, unavailable

BACKUP, STORE = ROOT / "docker/db/backup.sh", ROOT / "docker/db/store_backup.py"
NAME, USER, PASSWORD = "Ünï \"q\" 'd' $b \\ :x %I=1", "ro-le \\ $U @:x 'q' \"r\"", "pä ss'\"\\$HOME $$ `id` #:/@%41"
KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def live(postgres: Postgres) -> Iterator[Postgres]:
    """A server with a database that has odd names, a table and migrations."""
    postgres.initialise_application(NAME, USER, PASSWORD)
    address = {"host": "127.0.0.1", "port": postgres.port}
    with contextlib.closing(psycopg2.connect(dbname=NAME, user=USER, password=PASSWORD, **address)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE mark AS SELECT n, md5(n::text) FROM generate_series(1, 5000) AS n")
            cursor.execute("CREATE TABLE django_migrations (id int, app text, name text)")
            cursor.execute("INSERT INTO django_migrations VALUES (1, 'shop', '0001_initial')")
            cursor.execute("""CREATE TABLE "o'dd ""table"" $" (id int)""")
    yield postgres


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter, with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="berth-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o777)
        yield Path(made)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a server that speaks S3, with the bucket `backups`."""
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        unavailable(f"{error.name} is not installed, which speaks S3")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    client.create_bucket(Bucket="backups")
    yield address
    server.stop()


def backup(server: Postgres, folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run backup.sh as in its container, as somebody who is not root."""
    environment = {
        "PATH": f"{server.binaries}:{os.environ['PATH']}",
        "TMPDIR": str(folder),
        "INIT_SQL": str(DB_SQL),
        "DB_HOST": "127.0.0.1",
        "DB_PORT": str(server.port),
        "DB_NAME": NAME,
        "DB_USER": USER,
        "DB_PASSWORD": PASSWORD,
        **variables,
    }
    user = UNPRIVILEGED if os.getuid() == 0 else None
    line = ["bash", str(BACKUP), *words]
    return subprocess.run(line, env=environment, user=user, cwd=folder, capture_output=True, text=True, timeout=60)


def store(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(STORE), *map(str, words)]
    return subprocess.run(
        line, env={"PATH": os.environ["PATH"], **KEYS, **variables}, capture_output=True, text=True, timeout=60
    )


@pytest.fixture(scope="module")
def kept(live: Postgres) -> Iterator[Path]:
    """The folder of a dump; tests leave it as it is."""
    with tempfile.TemporaryDirectory(prefix="berth-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o777)
        said = backup(live, folder, "dump", str(folder))
        assert said.returncode == 0, said.stderr
        yield folder


def copied(kept: Path, folder: Path) -> Path:
    """Copy the dump, and return the path of the copy."""
    for path in kept.glob("*.dump*"):
        shutil.copy(path, folder)
        (folder / path.name).chmod(0o644)
    (found,) = folder.glob("*.dump")
    return found


def test_what_a_backup_holds_stands_beside_it(kept: Path) -> None:
    names = sorted(path.name for path in kept.iterdir())
    assert len(names) == 2 and names[1] == f"{names[0]}.json"
    known = json.loads((kept / names[1]).read_text())
    assert known["database"] == NAME
    assert known["tables"] == {"public.django_migrations": 1, "public.mark": 5000, 'public.o\'dd "table" $': 0}
    assert known["migrations"] == ["shop.0001_initial"]


def test_inv_reads_what_stands_beside_a_backup(kept: Path) -> None:
    from berth.db import dumps

    (path,) = kept.glob("*.dump")
    known = dumps.read_known(path)
    assert known and known.contents.tables["public.mark"] == 5000


def test_a_backup_is_loaded_into_a_server_of_its_own(live: Postgres, kept: Path, folder: Path) -> None:
    copied(kept, folder)
    databases = live.query("SELECT array_agg(datname ORDER BY datname) FROM pg_database")
    # It finds its way without the server that is in use.
    made = backup(live, folder, "rehearse", str(folder), DB_HOST="nowhere.invalid", DB_PORT="1", DB_PASSWORD="")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1].endswith("and holds what it is to: 4 tables and migrations")
    assert live.query("SELECT array_agg(datname ORDER BY datname) FROM pg_database") == databases
    assert [path.name for path in folder.iterdir() if "rehearsal" in path.name] == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("cut", "its checksum is another one"),
        ("cut and described anew", "the file cannot be loaded"),
        ("lacks a row", '["table", "public.mark", 5001]'),
        ("nothing", "holds no dump"),
    ],
)
def test_a_rehearsal_finds_what_is_wrong(live: Postgres, kept: Path, folder: Path, fault: str, said: str) -> None:
    path = copied(kept, folder)
    known = json.loads(Path(f"{path}.json").read_text())
    if fault.startswith("cut"):
        path.write_bytes(path.read_bytes()[:-2000])
    if fault.endswith("anew"):
        known["sha256"] = subprocess.run(["sha256sum", path], capture_output=True, text=True).stdout.split()[0]
    if fault == "lacks a row":
        known["tables"]["public.mark"] = 5001
    Path(f"{path}.json").write_text(json.dumps(known))
    if fault == "nothing":
        path.unlink()
    made = backup(live, folder, "rehearse", str(folder))
    assert made.returncode == 1
    assert said in made.stderr
    assert [path.name for path in folder.iterdir() if "rehearsal" in path.name] == []


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DB_PASSWORD": "wrong"}, "password authentication failed"),
        ({"DB_NAME": "missing"}, 'database "missing" does not exist'),
        ({"DB_HOST": ""}, "DB_HOST: is to be set"),
    ],
)
def test_a_backup_that_fails_says_why_and_leaves_no_file(
    live: Postgres, folder: Path, variables: dict[str, str], said: str
) -> None:
    made = backup(live, folder, "dump", str(folder), **variables)
    assert made.returncode != 0 and said in made.stderr
    assert PASSWORD not in made.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("where", ["bucket", "folder"])
def test_a_backup_is_stored_and_brought_back_byte_by_byte(
    s3: str, kept: Path, folder: Path, tmp_path: Path, where: str
) -> None:
    target = tmp_path / "kept"
    target.mkdir()
    url = {"bucket": "s3://backups/shop/nightly", "folder": str(target)}[where]
    variables = {"BACKUP_URL": url, "BACKUP_KEPT": "2", "AWS_ENDPOINT_URL": s3}
    path = copied(kept, folder)
    content = path.read_bytes()
    for day in ("20200101-000000", "20200102-000000", path.name.removesuffix(".dump")):
        (folder / f"{day}.dump").write_bytes(content)
        (folder / f"{day}.dump.json").write_text(next(kept.glob("*.json")).read_text())
        made = store("put", folder, **variables)
        assert made.returncode == 0, made.stderr
        # What is stored needs no second place.
        assert list(folder.iterdir()) == []
    assert store("list", **variables).stdout.split() == ["20200102-000000.dump", path.name]
    made = store("get", folder, **variables)
    assert (made.returncode, made.stdout) == (0, f"{folder / path.name}\n"), made.stderr
    assert path.read_bytes() == content


def test_a_damaged_dump_is_not_stored(kept: Path, folder: Path, tmp_path: Path) -> None:
    path = copied(kept, folder)
    path.write_bytes(path.read_bytes()[:-1])
    made = store("put", folder, BACKUP_URL=str(tmp_path))
    assert (made.returncode, made.stderr) == (
        1,
        f"store_backup.py: {path} is not as it was made: its checksum is another one\n",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "BACKUP_URL is not set: set it to s3://BUCKET/PREFIX, or to the path of a folder"),
        ("/nonexistent", "BACKUP_URL is /nonexistent, which is no folder: mount it"),
        ("s3://missing/x", "The specified bucket does not exist"),
    ],
)
def test_where_nothing_can_be_stored_one_line_says_so(s3: str, kept: Path, folder: Path, url: str, said: str) -> None:
    copied(kept, folder)
    made = store("put", folder, BACKUP_URL=url, AWS_ENDPOINT_URL=s3)
    assert made.returncode == 1 and said in made.stderr
    assert len(made.stderr.splitlines()) == 1
    assert len(list(folder.iterdir())) == 2
