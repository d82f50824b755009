"""The Dockerfile of a project that was made without Berth, and what installs its packages."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from init.plans import plan

from berth.init import image, record
from berth.init.plan import Install, Service, Variable, Worker

FILES = image.HERE
REQUIREMENTS = Install("requirements", ".", ("requirements.txt",), ours=("gunicorn",))


@pytest.fixture(scope="module")
def installer() -> Iterator[ModuleType]:
    """The program that installs packages in the build, as a module."""
    sys.path.insert(0, str(FILES))
    spec = importlib.util.spec_from_file_location("install_packages", FILES / "install_packages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(FILES))


def sources(dockerfile: str) -> set[str]:
    """Return what a Dockerfile copies out of the build context."""
    found: set[str] = set()
    for line in dockerfile.splitlines():
        if line.startswith("COPY") and "--from=" not in line:
            words = line.removeprefix("COPY").strip()
            listed = json.loads(words) if words.startswith("[") else [w for w in words.split() if w[:2] != "--"]
            found |= set(listed[:-1])
    return found


def mounted(dockerfile: str, stage: str) -> set[str]:
    """Return the stages that a stage is made from, directly."""
    text = re.search(rf"^FROM (\S+) AS {stage}\n(.*?)(?=^FROM |\Z)", dockerfile, re.M | re.S)
    assert text
    return {text[1], *re.findall(r"[-,]from=([\w-]+)", text[2])}


@pytest.mark.parametrize(
    ("install", "given"),
    [
        (REQUIREMENTS, {"requirements.txt"}),
        (Install("uv", "back", ("back/uv.lock", "back/pyproject.toml")), {"back/uv.lock", "back/pyproject.toml"}),
        (Install("poetry", ".", ("poetry.lock", "pyproject.toml")), {"poetry.lock", "pyproject.toml"}),
        (Install("pipenv", ".", ("Pipfile.lock", "Pipfile")), {"Pipfile.lock", "Pipfile"}),
        (Install("pyproject", ".", ("pyproject.toml",), installs_tree=True), {"pyproject.toml"}),
    ],
)
def test_all_that_a_dockerfile_copies_is_written_or_the_projects_own(install: Install, given: set[str]) -> None:
    found = image.files(plan(install=install, folder="berth-docker"))
    own = {path for path in sources(found["berth-docker/app/Dockerfile"]) if not path.startswith("berth-docker/")}
    ours = sources(found["berth-docker/app/Dockerfile"]) - own
    assert own == {*given, "."}
    assert {path for path in ours if "*" not in path} <= set(found)
    assert all(any(Path(path).match(pattern) for path in found) for pattern in ours if "*" in pattern)


def test_packages_of_development_stay_out_of_the_image_that_is_shipped() -> None:
    found = image.files(plan(install=Install("uv", ".", ("uv.lock", "pyproject.toml"))))["docker/app/Dockerfile"]
    assert mounted(found, "prod") == {"run-time-prod", "scripts", "code"}
    assert mounted(found, "run-time-prod") == {"base", "packages-prod"}
    assert mounted(found, "dev") == {"run-time-dev", "scripts"}


def test_what_a_stage_installs_from_is_copied_into_it() -> None:
    install = Install("requirements", ".", ("requirements.txt",), dev_files=("dev/extra.txt", "requirements.txt"))
    found = image.files(plan(install=install))["docker/app/Dockerfile"]
    for stage, files in (("dev", {"requirements.txt", "dev/extra.txt"}), ("prod", {"requirements.txt"})):
        text = re.search(rf"^FROM installer AS packages-{stage}\n(.*?)(?=^FROM )", found, re.M | re.S)
        assert text
        assert set(re.findall(r" /requirements/(\S+\.txt)", text[1])) == files
        assert sources(text[1]) >= files


def test_a_project_without_packages_of_development_installs_once() -> None:
    found = image.files(plan(install=REQUIREMENTS))["docker/app/Dockerfile"]
    assert re.findall(r"^FROM installer AS (\S+)", found, re.M) == ["packages-prod"]
    assert mounted(found, "dev") == {"run-time-prod", "scripts"}


def test_a_compiler_that_the_projects_own_dockerfile_installs_stays_in_the_stage_that_builds() -> None:
    debian = ("build-essential", "ffmpeg", "gcc", "gettext", "libpq-dev", "nginx", "pkg-config", "python3-pip")
    found = image.files(plan(install=REQUIREMENTS, debian=debian))["docker/app/Dockerfile"]
    assert re.findall(r'^ARG DEBIAN_PACKAGES="(.*)"', found, re.M) == ["ffmpeg gettext"]
    assert re.findall(r"--debian=(\S+)", found) == ["libpq-dev"]


@settings(deadline=None, max_examples=30)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), max_size=40))
def test_a_placeholder_reaches_the_settings_as_it_is(value: str) -> None:
    """The shell that runs the line, asked itself, hands on what the plan says."""
    made = plan(install=REQUIREMENTS, static_root=True, variables=(Variable("KEY", build=value),))
    found = re.search(r"^    env (.*?)python /collect_static", image.files(made)["docker/app/Dockerfile"], re.M | re.S)
    assert found
    line = f"env {found[1]} {sys.executable} -c 'import os, sys; sys.stdout.buffer.write(os.environb[b\"KEY\"])'"
    assert subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout.decode() == value


def test_settings_of_ours_find_what_they_read_while_static_files_are_collected() -> None:
    ours = {"settings": "berth_settings", "prod_settings": "berth_settings", "base_settings": "shop.settings"}
    found = image.files(plan(install=REQUIREMENTS, static_root=True, **ours))["docker/app/Dockerfile"]
    assert all(f'{name}="none"' in found for name in ("DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD"))


def test_what_celery_needs_is_there_where_celery_is() -> None:
    without = image.files(plan(install=REQUIREMENTS))
    worker = (Worker("worker", "celery"),)
    with_it = image.files(plan(install=REQUIREMENTS, celery_app="shop", workers=worker))
    assert {Path(path).name for path in set(with_it) - set(without)} == {
        "berth_beat.py", "berth_worker.py", "check-worker.sh", "reload_on_edit.py", "start-celery-beat.sh",
        "start-celery-worker.sh",
    }  # fmt: skip
    assert "watchfiles==" in with_it["docker/app/ours.txt"]
    assert "watchfiles==" not in without["docker/app/ours.txt"]


def test_a_worker_on_sqs_finds_the_transport_that_it_imports() -> None:
    workers, broker = (Worker("worker", "celery"),), Service("sqs", "broker", "elasticmq")
    found = image.files(plan(install=REQUIREMENTS, celery_app="shop", workers=workers, services=(broker,)))
    assert "docker/app/fast_sqs/transport.py" in found
    assert "COPY docker/app/fast_sqs /usr/local/lib/berth/fast_sqs\n" in found["docker/app/Dockerfile"]


def test_the_image_that_is_shipped_knows_what_it_serves() -> None:
    made = plan(install=REQUIREMENTS, asgi="shop.asgi", static_root=True, prod_settings="shop.live")
    for asgi, line in ((False, "WSGI_MODULE=shop.wsgi"), (True, "ASGI_MODULE=shop.asgi")):
        text = image.files(dataclasses.replace(made, serve_asgi=asgi))["docker/app/Dockerfile"]
        shipped = re.search(r"^FROM run-time-prod AS prod\n(.*?)^FROM ", text, re.M | re.S)
        assert shipped
        assert f"DJANGO_SETTINGS_MODULE=shop.live \\\n    {line}\n" in shipped[1]
        # Where collect_static.py reads it.
        assert "theirs.txt /prod.txt\n" in text


def test_berths_own_packages_have_hashes_and_each_stands_there_once() -> None:
    made = plan(install=dataclasses.replace(REQUIREMENTS, ours=("gunicorn", "psycopg[binary]", "uvicorn", "psycopg2")))
    entries = re.split(r"\n(?=[A-Za-z0-9])", image.ours(made).partition("\n")[2].strip())
    assert all("--hash=sha256:" in entry for entry in entries)
    heads = [entry.partition(" \\")[0] for entry in entries]
    assert len(heads) == len(set(heads))
    assert {head.partition("==")[0] for head in heads} >= {"gunicorn", "psycopg", "psycopg-binary", "uvicorn", "h11"}


def test_a_package_that_berth_has_no_lock_of_is_no_silent_omission() -> None:
    with pytest.raises(KeyError, match="Berth has no lock of waitress"):
        image.lock_of("waitress>=3")


# --- In the build ------------------------------------------------------------


def test_an_index_in_a_requirements_file_decides_nothing_and_folders_are_left_to_the_tree(
    installer: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "base.txt").write_text("--index-url https://gone.invalid/simple\n-c ../pins.txt\nDjango\n")
    (tmp_path / "pins.txt").write_text("Django==5.2\n")
    (tmp_path / "all.txt").write_text(
        "\ufeff-i https://gone.invalid/simple\n-r sub/base.txt\n-e .\n.[dev]\npytest # a\n"
    )
    local = installer.without_index(tmp_path / "all.txt", into := tmp_path / "out")
    top = into / str(tmp_path).strip("/")
    assert (top / "all.txt").read_text() == f"-r {top}/sub/base.txt\npytest # a\n"
    assert (top / "sub" / "base.txt").read_text() == f"-c {top}/pins.txt\nDjango\n"
    assert local == [str(tmp_path), str(tmp_path)]


def test_a_file_that_is_named_and_missing_ends_the_build(installer: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("-r base.txt\n")
    with pytest.raises(SystemExit, match=r"all\.txt reads base\.txt, which is not there"):
        installer.without_index(tmp_path / "all.txt", tmp_path / "out")


def test_a_pipfile_lock_is_said_with_extras_markers_and_hashes(installer: ModuleType, tmp_path: Path) -> None:
    lock = {
        "default": {
            "a": {"version": "==1.0", "hashes": ["sha256:1", "sha256:2"], "markers": "python_version < '4'"},
            "b": {"version": "==2", "extras": ["x", "y"], "hashes": ["sha256:3"]},
            "here": {"path": ".", "editable": True},
        },
        "develop": {"a": {"version": "==1.0", "hashes": ["sha256:1"]}, "c": {"version": "==3"}},
    }
    (tmp_path / "Pipfile.lock").write_text(json.dumps(lock))
    lines = installer.of_pipfile_lock(tmp_path / "Pipfile.lock", dev=False)
    assert lines == ["a==1.0 ; python_version < '4' --hash=sha256:1 --hash=sha256:2", "b[x,y]==2 --hash=sha256:3"]
    assert installer.of_pipfile_lock(tmp_path / "Pipfile.lock", dev=True) == [*lines, "c==3"]


def test_a_pipfile_without_a_lock_is_read_itself(installer: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "Pipfile").write_text(
        '[packages]\ndjango = "~=5.2"\npillow = "*"\nuvicorn = {extras = ["standard"], version = "==0.30"}\n'
        'shop = {path = "."}\nfork = {git = "https://example.org/fork", ref = "v1"}\n[dev-packages]\ntox = "*"\n'
    )
    lines = ["django~=5.2", "pillow", "uvicorn[standard]==0.30", "fork @ git+https://example.org/fork@v1"]
    assert installer.of_pipfile(tmp_path / "Pipfile", False) == lines
    assert installer.of_pipfile(tmp_path / "Pipfile", True) == [*lines, "tox"]


def test_every_lock_of_ours_is_read_whole(installer: ModuleType) -> None:
    for lock in image.LOCKS.glob("*.txt"):
        entries = installer.entries(lock.read_text())
        assert sum(entry.count("--hash=") for entry in entries.values()) == lock.read_text().count("--hash=")


def test_a_package_whose_build_failed_is_known_by_name(installer: ModuleType) -> None:
    assert installer.failed_build("  x Failed to build `psycopg2==2.9.10`\n") == "psycopg2"
    assert installer.failed_build("  x Failed to download and build `python_ldap @ file:///a`\n") == "python-ldap"
    assert installer.failed_build("error: No solution found") == ""


@pytest.mark.parametrize(
    ("line", "is_so"),
    [
        ("shop @ git+https://example.org/shop.git@1", True),
        ('source = { git = "https://example.org/shop.git?rev=1#1" }', True),
        ('"git": "https://example.org/shop.git"', True),
        ('source = { registry = "https://example.org/simple" }', False),
        ("gitpython==3.1", False),
    ],
)
def test_a_package_that_git_fetches_is_found_in_any_lock(installer: ModuleType, line: str, is_so: bool) -> None:
    assert installer.from_git(line) is is_so


def test_a_project_that_insists_on_another_uv_is_understood(installer: ModuleType) -> None:
    text = "error: Required uv version `==0.11.*` does not match the running version `0.13.9`\n"
    assert installer.required_uv(text) == "==0.11.*"
    assert installer.required_uv("error: No solution found") == ""


@pytest.mark.parametrize("more", [[f"--python={sys.executable}"], []], ids=["by its path", "whichever uv finds"])
def test_lock_for_another_patch_of_python_is_installed_from_what_uv_exports(
    more: list[str], installer: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted = f"{sys.version_info[0]}.{sys.version_info[1]}.99"
    package = f'[project]\nname = "shop"\nversion = "1"\nrequires-python = "=={wanted}"\ndependencies = ["idna"]\n'
    lock = f"""version = 1
revision = 3
requires-python = "=={wanted}"

[[package]]
name = "idna"
version = "3.10"
source = {{ registry = "https://index.invalid/simple" }}
sdist = {{ url = "https://index.invalid/idna-3.10.tar.gz", hash = "sha256:{"0" * 64}" }}

[[package]]
name = "shop"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "idna" }}]
"""
    (tmp_path / "pyproject.toml").write_text(package)
    (tmp_path / "uv.lock").write_text(lock)
    monkeypatch.setattr(installer, "UV", str(Path(sys.executable).with_name("uv")))
    monkeypatch.setattr(installer, "VENV", tmp_path / "venv")
    options = argparse.Namespace(format="uv", files=[str(tmp_path / "uv.lock")], group=[], extra=[], dev=False)
    sync = installer.command(options, tmp_path)
    done = installer.run([*sync, *more])
    assert installer.other_patch(done.stdout) == wanted, done.stdout
    line = installer.by_export(sync, tmp_path / "lock.txt")
    assert line[1:] == ["pip", "install", f"--requirement={tmp_path / 'lock.txt'}"]
    assert re.match(r"idna==3\.10 \\\n +--hash=sha256:0+\n", (tmp_path / "lock.txt").read_text())


@pytest.mark.parametrize(
    ("wanted", "found"), [("==3.13.11", "3.13.11"), ("==3.12.11", ""), (">=3.13.9", ""), ("==3.14.*", "")]
)
def test_python_that_differs_in_its_last_number_is_told(
    installer: ModuleType, wanted: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 13, 5))
    text = "error: The requested interpreter resolved to Python 3.13.5, which is incompatible with the project's Python"
    assert installer.other_patch(f"{text} requirement: `{wanted}` (from `project.requires-python`)") == found


def test_a_package_that_cannot_be_fetched_is_not_taken_for_one_that_lacks_a_compiler(installer: ModuleType) -> None:
    text = (
        "error: Failed to download and build `shop @ https://example.org/shop.zip`\n"
        "  cause: Request failed after 3 retries\n  cause: Failed to fetch: https://example.org/shop.zip\n"
    )
    assert installer.not_fetched(text) == "https://example.org/shop.zip"
    with pytest.raises(SystemExit, match=r"https://example\.org/shop\.zip cannot be fetched: builds need a way there"):
        installer.explain(text, "shop")


def test_the_short_list_of_headers_is_tried_before_the_projects_own(installer: ModuleType) -> None:
    system = installer.system_packages
    first = system.to_build("lxml", "", ["libfoo-dev", "ffmpeg"], set())
    assert {"gcc", "libxml2-dev", "libxslt1-dev"} <= set(first)
    assert "libfoo-dev" not in first
    assert system.to_build("lxml", "", ["libfoo-dev", "ffmpeg"], set(first)) == ["libfoo-dev"]
    assert system.to_build("lxml", "fatal error: libpq-fe.h", ["libfoo-dev"], {*first, "libfoo-dev"}) == ["libpq-dev"]
    assert system.to_build("lxml", "", [], set(first)) == []


def test_what_is_compiled_is_kept_in_no_cache_so_that_each_build_measures_its_libraries(
    installer: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines: list[list[str]] = []

    def run(line: list[str]) -> subprocess.CompletedProcess[str]:
        lines.append(line)
        return subprocess.CompletedProcess(line, len(lines) == 1, "Failed to build `psycopg2==2.9.9`\npg_config")

    monkeypatch.setattr(installer, "run", run)
    monkeypatch.setattr(installer, "NOTES", tmp_path)
    monkeypatch.setattr(installer.system_packages, "installed", set)
    monkeypatch.setattr(installer.system_packages, "add", lambda names: None)
    monkeypatch.setattr(installer.system_packages, "libraries", lambda venv: {"libpq5"})
    installer.install(["uv", "sync"], [])
    assert lines == [["uv", "sync"], ["uv", "sync", "--no-cache"]]
    assert (tmp_path / "debian.txt").read_text() == "libpq5\n"


def test_only_the_project_itself_gets_a_version_made_up(installer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION", "")
    monkeypatch.delenv("SETUPTOOLS_SCM_PRETEND_VERSION")
    assert "SETUPTOOLS_SCM_PRETEND_VERSION" not in installer.environment()
    installer.tree(argparse.Namespace(folders=[]))
    assert installer.environment()["SETUPTOOLS_SCM_PRETEND_VERSION"] == "0.0.0"


def test_a_library_that_comes_with_its_wheel_is_not_asked_of_debian(installer: ModuleType) -> None:
    assert installer.system_packages.at_run_time({"psycopg", "python-magic", "django"}) == {"libpq5", "libmagic1"}
    assert installer.system_packages.at_run_time({"psycopg", "psycopg-binary"}) == set()


def test_the_tool_is_told_to_leave_the_lock_as_it_is(installer: ModuleType, tmp_path: Path) -> None:
    options = argparse.Namespace(format="uv", files=["/requirements/uv.lock"], dev=False, group=["web"], extra=["pg"])
    line = installer.command(options, tmp_path)
    assert line[1:3] == ["sync", "--frozen"]
    assert {"--no-dev", "--group=web", "--extra=pg", "--no-install-project"} <= set(line)


# --- What is recorded --------------------------------------------------------

SETTINGS = """
import os
from os import environ, getenv

SECRET_KEY = os.environ["SECRET_KEY"]
URL = getenv("SHOP_URL", "x")
HAS = "SHOP_FLAG" in environ
for letter in "AB":
    environ.get("SHOP_" + letter)
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "PASSWORD": "geheim"}}
CELERY_BROKER_URL = "redis://:geheim@redis/0"
print("noise", '{"not": "ours"}')
"""
MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


def recorded(folder: Path, settings: str = SETTINGS, **variables: str) -> tuple[int, record.Record, str]:
    if settings:
        (folder / "shop_settings.py").write_text(settings)
    (folder / "manage.py").write_text(MANAGE)
    words = record.command("manage.py", "check")
    made = subprocess.run(
        [sys.executable, *words[1:]], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    return made.returncode, record.parse(made.stdout), made.stdout


def test_each_way_of_reading_a_variable_is_recorded_with_its_line(tmp_path: Path) -> None:
    code, found, output = recorded(tmp_path, SECRET_KEY="k")
    assert code == 0
    ours = {name: read for name, read in found.variables.items() if name.startswith(("SHOP_", "SECRET"))}
    assert sorted(ours) == ["SECRET_KEY", "SHOP_A", "SHOP_B", "SHOP_FLAG", "SHOP_URL"]
    assert ours["SECRET_KEY"] == record.Read(True, False, f"{tmp_path}/shop_settings.py:5")
    assert ours["SHOP_URL"] == record.Read(False, True, f"{tmp_path}/shop_settings.py:6")
    assert found.settings is not None
    assert found.settings["BROKER"] == "redis"
    assert "geheim" not in output


def test_a_missing_variable_is_recorded_though_the_settings_cannot_be_loaded(tmp_path: Path) -> None:
    code, found, _ = recorded(tmp_path)
    assert code != 0
    assert found.variables["SECRET_KEY"] == record.Read(False, False, f"{tmp_path}/shop_settings.py:5")
    assert found.settings is None


def test_paths_that_take_no_argument_are_recorded(tmp_path: Path) -> None:
    urls = """
from django.http import HttpResponse
from django.urls import include, path, re_path
view = lambda request, **more: HttpResponse()
admin = [path("shop/", view)], "admin"
api = [path("ping/", view), path("item/<int:key>/", view)]
urlpatterns = [path("api/", include(api)), path("secret/", include(admin)), re_path(r"^about/$", view), re_path(r"^(x|y)/$", view), path("", view)]
"""
    (tmp_path / "shop_urls.py").write_text(urls)
    (tmp_path / "shop_settings.py").write_text(SETTINGS + 'ROOT_URLCONF = "shop_urls"\nINSTALLED_APPS = []\n')
    _, found, _ = recorded(tmp_path, settings="", SECRET_KEY="k")
    assert found.paths == ("/api/ping/", "/secret/login/", "/about/", "/")


def test_output_without_a_record_is_no_record() -> None:
    assert record.parse("Traceback ...\nBERTH\n") == record.Record()
