"""What is in the images that are shipped and tested, and what must not be."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from containers.checkout import Checkout, checkout, docker, get, ok, within
from containers.conftest import Stack, production

pytestmark = pytest.mark.containers

SECRET_FILES = (".env", "docker/.env", "app/.env", "app/x/.env.local", "app/x/y/.env", "app/x/prod.env")
MARK = "canary"


class Built(NamedTuple):
    """The images of a checkout full of secrets; ``canaries`` are the words that must not be in them."""

    prod: str
    test: str
    canaries: dict[str, str]


@pytest.fixture(scope="module")
def built(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Build by plain `docker build`, with a CA bundle and a pip configuration as secrets."""
    with checkout() as made:
        made.prepare()
        canaries = {}
        for name in SECRET_FILES:
            canaries[name] = f"{MARK}-{uuid.uuid4().hex}"
            (made.root / name).parent.mkdir(exist_ok=True)
            with (made.root / name).open("a") as file:
                file.write(f"\nLOG_LEVEL={canaries[name]}\n")
        folder = tmp_path_factory.mktemp("secrets")
        bundle, configuration = folder / "bundle.pem", folder / "pip.conf"
        canaries |= {"bundle": f"{MARK}-{uuid.uuid4().hex}", "pip.conf": f"{MARK}-{uuid.uuid4().hex}"}
        bundle.write_text(f"# {canaries['bundle']}\n{host_bundle().read_text()}")
        configuration.write_text(f"# {canaries['pip.conf']}\n[global]\ntimeout = 60\n")
        images = [f"{made.name}-plain-{target}:latest" for target in ("prod", "test")]
        for image, target in zip(images, ("prod", "test"), strict=True):
            ok(plain_build(made, image, target, bundle, configuration))
        yield Built(*images, canaries)


def host_bundle() -> Path:
    return Path(os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")


def plain_build(
    made: Checkout, image: str, target: str, bundle: Path, configuration: Path
) -> subprocess.CompletedProcess[str]:
    return made.run(
        [
            *("docker", "build", "--tag", image, "--target", target, "--file", "./docker/app/Dockerfile"),
            *("--build-arg", f"PYTHON_IMAGE={made.value('PYTHON_IMAGE')}"),
            *("--build-arg", "REVISION=0123abc"),
            *("--secret", f"id=ca_bundle,src={bundle}", "--secret", f"id=pip_conf,src={configuration}"),
            # The secrets have to be used: what another build has left in the cache would prove nothing. The test
            # image builds on these very layers.
            *["--no-cache-filter=installer"] * (target == "prod"),
            ".",
        ]
    )


def inside(image: str, script: str, user: str | None = None) -> str:
    words = ["--user", user] if user else []
    return docker("run", "--rm", *words, "--env", "DB_HOST=", image, "bash", "-c", script).stdout


def contents(image: str) -> Iterator[tuple[str, bytes]]:
    """Yield every file of every layer, the configuration and the history too, with its path."""
    saved = subprocess.run(["docker", "save", image], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            data = file.read()
            data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            yield member.name, data


@pytest.mark.parametrize("target", ["prod", "test"])
def test_no_secret_of_the_checkout_or_of_the_build_is_in_a_layer(built: Built, target: str) -> None:
    image = getattr(built, target)
    blobs = dict(contents(image))
    assert any(b"manage.py" in data for data in blobs.values()), "the layers are read"
    for place, canary in built.canaries.items():
        assert [name for name, data in blobs.items() if canary.encode() in data] == [], place
    history = docker("history", "--no-trunc", image).stdout + docker("inspect", image).stdout
    assert MARK not in history
    names = inside(
        image, "find / -xdev -name '.env*' -o -xdev -name '*.env'; ls -A /run/secrets 2>/dev/null; true", user="0"
    )
    assert names.split() == []


@pytest.mark.parametrize("target", ["prod", "test"])
def test_the_user_is_a_number_and_not_root(built: Built, target: str) -> None:
    image = getattr(built, target)
    user = docker("inspect", "-f", "{{.Config.User}}", image).stdout.strip()
    assert user == "10001:10001"
    assert inside(image, "id -u; id -un; echo $HOME") == "10001\nweb\n/home/web\n"


@pytest.mark.parametrize("target", ["prod", "test"])
def test_every_command_passes_the_entry_point_where_the_code_is(built: Built, target: str) -> None:
    found = json.loads(docker("inspect", "-f", "{{json .Config}}", getattr(built, target)).stdout)
    assert (found["Entrypoint"], found["WorkingDir"]) == (["entrypoint.sh"], "/home/web/code")
    variables = dict(word.split("=", 1) for word in found["Env"])
    assert (variables["PYTHONDONTWRITEBYTECODE"], variables["PYTHONUNBUFFERED"]) == ("1", "1")
    assert variables["PATH"].startswith("/opt/venv/bin:")


def test_the_development_image_holds_no_source(stack: Stack) -> None:
    assert inside(f"{stack.name}-app:dev", "ls -A /home/web/code; echo end") == "end\n"


@pytest.mark.parametrize("target", ["prod", "test"])
def test_the_code_belongs_to_root_and_cannot_be_changed(built: Built, target: str) -> None:
    image = getattr(built, target)
    script = (
        "find /home/web/code /opt/venv /usr/local/bin /home/web/static ! -user 0 -o ! -type l -perm /022;"
        " find /home/web/code /opt/venv /home/web/static -writable; touch /home/web/code/written 2>&1; ls manage.py"
    )
    assert inside(image, script).splitlines() == [
        "touch: cannot touch '/home/web/code/written': Permission denied",
        "manage.py",
    ]


@pytest.mark.parametrize("target", ["prod", "test"])
def test_no_compiler_no_uv_and_no_cache_is_in(built: Built, target: str) -> None:
    script = (
        "for name in gcc cc g++ c++ clang make uv uvx; do command -v $name; done; python -c 'import uv' 2>/dev/null && echo uv;"
        " find / -xdev \\( -name 'uv' -o -name '*.whl' -o -name 'pip-*' -path '*cache*' \\) ! -path '/usr/share/*';"
        " ls -A /root/.cache /home/web/.cache /requirements 2>/dev/null; echo end"
    )
    assert inside(getattr(built, target), script, user="0") == "end\n"


def test_only_the_test_image_holds_pytest(built: Built) -> None:
    assert inside(built.prod, "command -v pytest watchfiles || echo none") == "none\n"
    assert inside(built.test, "command -v pytest") == "/opt/venv/bin/pytest\n"


def test_the_test_image_is_the_shipped_one_with_a_few_packages_more(built: Built) -> None:
    digest = "cd /home/web && find code static /usr/local/bin -type f -exec sha256sum {} + | sort"
    assert inside(built.test, digest) == inside(built.prod, digest)
    listing = "/opt/venv/bin/python -c 'import importlib.metadata as m; print(*sorted(f\"{d.name}=={d.version}\" for d in m.distributions()))'"
    assert set(inside(built.prod, listing).split()) < set(inside(built.test, listing).split())


def test_labels_name_the_revision(built: Built) -> None:
    labels = json.loads(docker("inspect", "-f", "{{json .Config.Labels}}", built.prod).stdout)
    prefix = "org.opencontainers.image"
    assert {name: value for name, value in labels.items() if name.startswith(prefix) and value} == {
        f"{prefix}.title": "app",
        f"{prefix}.revision": "0123abc",
    }


def test_static_files_are_in_with_their_manifest(built: Built) -> None:
    manifest = json.loads(inside(built.prod, "cat /home/web/static/staticfiles.json"))
    assert re.fullmatch(r"admin/css/base\.[0-9a-f]{12}\.css", manifest["paths"]["admin/css/base.css"])
    assert "users/exports.css" in manifest["paths"]


@pytest.fixture(scope="module")
def serving(stack: Stack, built: Built) -> Iterator[str]:
    """Serve with the image as built by plain `docker`, beside the stack; give its URL."""
    variables = [word for name, value in production(stack).items() for word in ("--env", f"{name}={value}")]
    options = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--publish", "127.0.0.1::8000"]
    container = docker(
        "run", "--detach", "--init", "--network", f"{stack.name}_default", *options, *variables, built.prod
    ).stdout.strip()
    try:
        address = docker("port", container, "8000").stdout.strip()
        within(
            40,
            lambda: get(f"http://{address}/status/ready/").status == 200,
            f"the server is ready: {docker('logs', container).stdout}",
        )
        yield f"http://{address}"
    finally:
        docker("rm", "--force", container)


def test_the_shipped_image_answers_probes_by_ip_and_nothing_else_from_strangers(serving: str) -> None:
    assert json.loads(get(f"{serving}/status/").body) == {"status": "ok"}
    assert get(f"{serving}/status/ready/", Host="10.1.2.3").status == 200
    assert get(f"{serving}/admin/login/", Host="10.1.2.3", X_Forwarded_Proto="https").status == 400
    assert get(f"{serving}/", Host="shop.example.com", X_Forwarded_Proto="https").status == 404


def test_the_shipped_image_serves_static_files_for_ever(serving: str) -> None:
    seen = {"Host": "shop.example.com", "X_Forwarded_Proto": "https"}
    page = get(f"{serving}/admin/login/", **seen)
    assert page.status == 200
    sheet = re.search(r'href="(/static/admin/css/base\.[0-9a-f]{12}\.css)"', page.body.decode())
    assert sheet, page.body
    answer = get(f"{serving}{sheet[1]}", **seen)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/css")
    assert answer.headers["Cache-Control"] == "max-age=315360000, public, immutable"
    assert get(f"{serving}{sheet[1]}", Accept_Encoding="gzip", **seen).headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"DEBUG": "true"}, "DEBUG is on, which app.settings.prod refuses: unset it"),
        (
            {"SECRET_KEY": "short"},
            "SECRET_KEY is too weak: it needs 50 characters, 5 of them different, and must not start with `django-insecure-`",
        ),
        (
            {"SECRET_KEY": ""},
            "SECRET_KEY is not set: add `SECRET_KEY=...` or `SECRET_KEY_FILE=...` to the environment (`.env`)",
        ),
        (
            {"ALLOWED_HOSTS": ""},
            "ALLOWED_HOSTS is not set: list the host names to serve, `example.org,www.example.org`",
        ),
        (
            {"DJANGO_SETTINGS_MODULE": ""},
            "DJANGO_SETTINGS_MODULE is not set: set it to `app.settings.local` to develop or `app.settings.prod` to serve",
        ),
    ],
    ids=["debug", "short-key", "no-key", "no-hosts", "no-settings"],
)
def test_the_shipped_image_refuses_to_start_insecurely(
    stack: Stack, built: Built, variables: dict[str, str], message: str
) -> None:
    settings = production(stack) | {"DB_WAIT_TIMEOUT": "0"} | variables
    words = [word for name, value in settings.items() for word in ("--env", f"{name}={value}")]
    made = docker("run", "--rm", *words, built.prod, check=False)
    assert made.returncode == 4
    assert [line for line in made.stderr.splitlines() if not line.startswith("[")] == [message]
    assert "Traceback" not in made.stdout + made.stderr
