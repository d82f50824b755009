from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.base_images import builder
from berth.base_images.builder import Recipe
from berth.errors import Refused

FOLDER = builder.RECIPES


def write_recipe(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir()
    (folder / name / "recipe.conf").write_text(text, encoding="utf-8")


def sourced(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a bash that has sourced the script `build`."""
    return subprocess.run(
        ["bash", "-c", f"source {shlex.quote(str(builder.BUILD))}; {code}"],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_recipes_of_the_repository_fill_the_image_variables() -> None:
    named = {
        "PYTHON_IMAGE": "python:3.13-slim-trixie",
        "POSTGRES_IMAGE": "postgres:18",
        "BROKER_IMAGE": "softwaremill/elasticmq:1.7.1",
        "BALANCER_IMAGE": "haproxy:3.2",
    }
    assert builder.variables(builder.used(builder.read_recipes(FOLDER), named)) == {
        "PYTHON_IMAGE": "local/python:3.13",
        "POSTGRES_IMAGE": "local/postgres:18",
        "BROKER_IMAGE": "local/elasticmq:1.7.1",
        "BALANCER_IMAGE": "local/haproxy:3.2",
    }


@pytest.mark.parametrize(
    ("variable", "image", "tag"),
    [
        ("PYTHON_IMAGE", "python:3.11-slim-bookworm", "local/python:3.11"),
        ("PYTHON_IMAGE", "mirror.example/library/python:3.12-slim", "local/python:3.12"),
        ("POSTGRES_IMAGE", "postgis/postgis:18-3.5", "local/postgis:18"),
        ("POSTGRES_IMAGE", "pgvector/pgvector:pg18", "local/postgis:18"),
        ("REDIS_IMAGE", "valkey/valkey:8-alpine", "local/valkey:8"),
        ("RABBITMQ_IMAGE", "rabbitmq:4", "local/rabbitmq:4"),
    ],
)
def test_of_the_recipes_for_one_variable_the_project_gets_the_one_that_stands_for_its_image(
    variable: str, image: str, tag: str
) -> None:
    assert builder.variables(builder.used(builder.read_recipes(FOLDER), {variable: image})) == {variable: tag}


def test_a_python_that_no_recipe_has_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(
        Refused, match=r"made for Python 3\.8 .* packages give 3\.9, 3\.10, 3\.11, 3\.12, 3\.13, 3\.14:"
    ):
        builder.used(builder.read_recipes(FOLDER), {"PYTHON_IMAGE": "python:3.8-slim"})


def test_every_folder_of_the_repository_is_a_recipe() -> None:
    folders = {path.name for path in FOLDER.glob("[!.]*") if path.is_dir()}
    assert {recipe.name for recipe in builder.read_recipes(FOLDER)} == folders


def test_a_recipe_comes_after_its_base(tmp_path: Path) -> None:
    write_recipe(tmp_path, "a", "VARIABLE=A_IMAGE\nTAG=local/a:1\nBASE=c\n")
    write_recipe(tmp_path, "b", "VARIABLE=B_IMAGE\nTAG=local/b:1\nBASE=a\n")
    write_recipe(tmp_path, "c", "# the first\nVARIABLE=C_IMAGE\nTAG='local/c:1'\nPACKAGES=\"x y\"\n")
    assert builder.read_recipes(tmp_path) == [
        Recipe("c", "C_IMAGE", "local/c:1"),
        Recipe("a", "A_IMAGE", "local/a:1", "c"),
        Recipe("b", "B_IMAGE", "local/b:1", "a"),
    ]


def test_only_missing_images_are_built() -> None:
    recipes = [Recipe("c", "C", "local/c:1"), Recipe("a", "A", "local/a:1", "c")]
    build = str(builder.BUILD)
    assert builder.build_lines(recipes, []) == [[build, "c"], [build, "a"]]
    assert builder.build_lines(recipes, ["local/c:1"]) == [[build, "a"]]
    assert builder.build_lines(recipes, {"local/c:1", "local/a:1"}) == []


def test_all_problems_of_recipes_are_named_at_once(tmp_path: Path) -> None:
    write_recipe(tmp_path, "a", "VARIABLE=A_IMAGE\n")
    write_recipe(tmp_path, "b", "rm -r x")
    write_recipe(tmp_path, "c", "VARIABLE=C TAG=c:1 BASE=nowhere")
    write_recipe(tmp_path, "d", "TAG='d")
    with pytest.raises(Refused) as raised:
        builder.read_recipes(tmp_path)
    assert str(raised.value).splitlines() == [
        f"{tmp_path}/a/recipe.conf: TAG not set",
        f"{tmp_path}/b/recipe.conf: 'rm' is not of the form NAME=value",
        f"{tmp_path}/d/recipe.conf: No closing quotation",
        f"{tmp_path}/c/recipe.conf: BASE is nowhere, but there is no {tmp_path}/nowhere/recipe.conf",
    ]


def test_recipes_that_build_on_each_other_are_refused(tmp_path: Path) -> None:
    write_recipe(tmp_path, "a", "VARIABLE=A TAG=a:1 BASE=b")
    write_recipe(tmp_path, "b", "VARIABLE=B TAG=b:1 BASE=a")
    with pytest.raises(Refused, match=f"^{re.escape(str(tmp_path))}: the recipes build on each other: "):
        builder.read_recipes(tmp_path)


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True), st.text(), max_size=4))
def test_assignments_reads_what_shlex_quotes(values: dict[str, str]) -> None:
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    assert builder.assignments(text) == values


def test_a_host_mirror_is_found_in_deb822_and_one_line_sources(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://commented/debian trixie main\n"
        "deb [arch=amd64 signed-by=/keys/a.gpg] http://one/debian trixie main\n"
        "deb-src http://source/debian trixie main\n"
        "deb http://two/debian-security trixie-security main\n"
    )
    (parts / "x.sources").write_text(
        "Types: deb deb-src\n# comment\nURIs: http://three/debian\nSuites: trixie\n trixie-updates\n"
        "Components: main\nSigned-By: /keys/b.gpg\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://four/debian\nSuites: sid\n\n"
        "Types: deb\nURIs: http://five/debian\nSuites: sid\nSigned-By:\n -----BEGIN PGP-----\n"
    )
    assert sourced("host_sources", APT_ETC=str(tmp_path)).stdout.splitlines() == [
        "http://one/debian trixie /keys/a.gpg",
        "http://two/debian-security trixie-security -",
        "http://three/debian trixie /keys/b.gpg",
        "http://three/debian trixie-updates /keys/b.gpg",
        "http://five/debian sid -",
    ]


def test_suites_are_taken_from_the_mirrors_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "deb http://ubuntu/ubuntu noble main\n"
        "deb [signed-by=/keys/a.gpg] http://one/debian/ bookworm main\n"
        "deb http://two/debian-security bookworm-security main\n"
    )
    made = sourced("debian_sources trixie trixie-security", APT_ETC=str(tmp_path))
    assert (made.returncode, made.stdout) == (
        0,
        (
            "Types: deb\nURIs: http://one/debian/\nSuites: trixie\nComponents: main\nSigned-By: /keys/a.gpg\n\n"
            "Types: deb\nURIs: http://two/debian-security\nSuites: trixie-security\nComponents: main\n"
            "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n"
        ),
    )


def test_a_host_without_a_debian_mirror_is_told_to_name_one(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://ubuntu/ubuntu noble main\n")
    made = sourced("debian_sources trixie", APT_ETC=str(tmp_path))
    assert (made.returncode, made.stdout, made.stderr) == (
        1,
        "",
        (
            "[base-images] this machine's apt knows no Debian mirror: "
            f"name one, `DEBIAN_MIRROR=URL {builder.BUILD} NAME`\n"
        ),
    )


def test_a_named_mirror_is_used_instead_of_the_hosts(tmp_path: Path) -> None:
    made = sourced("debian_sources trixie trixie-security", APT_ETC=str(tmp_path), DEBIAN_MIRROR="http://named/debian")
    assert made.stdout == (
        "Types: deb\nURIs: http://named/debian\nSuites: trixie\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n"
    )
    assert made.stderr == "[base-images] no mirror known for trixie-security, going on without it\n"


def test_a_host_without_mmdebstrap_is_told_what_to_type(tmp_path: Path) -> None:
    made = sourced("PATH=/nonexistent; debian_tree x trixie bash")
    assert (made.returncode, made.stderr) == (
        1,
        (
            "[base-images] base images need `mmdebstrap` on a Debian or Ubuntu machine: "
            "`sudo apt-get install mmdebstrap debian-archive-keyring`; elsewhere (macOS) build them on such a machine "
            "and carry them over: `docker save IMAGE | gzip >image.tar.gz`, here `docker load <image.tar.gz`\n"
        ),
    )


def test_an_unknown_image_is_named_beside_the_known_ones() -> None:
    made = subprocess.run([builder.BUILD, "mysql"], capture_output=True, text=True, check=False)
    assert (made.returncode, made.stderr) == (
        1,
        "[base-images] no base image `mysql`: there are elasticmq haproxy postgis postgres python-3.10 python-3.11 "
        "python-3.12 python-3.14 python-3.9 python rabbitmq redis\n",
    )


def test_pip_settings_are_handed_on_quoted_and_only_those_without_paths() -> None:
    url = "https://user:p$(id)'@mirror/simple"
    made = sourced("pip_env", PIP_INDEX_URL=url, PIP_CERT="/some/where", PIP_FIND_LINKS="/wheels")
    read = subprocess.run(
        ["bash", "-c", f'{made.stdout}\nprintf %s "$PIP_INDEX_URL"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.startswith("PIP_INDEX_URL=")
    assert made.stdout.count("\n") == 1
    assert read.stdout == url


def test_every_jar_of_the_lock_has_a_checksum() -> None:
    lock = (FOLDER / "elasticmq" / "jgo.lock.toml").read_text()
    jars = lock.split("[[dependencies]]")[1:]
    assert len(jars) == 39
    assert [jar for jar in jars if not re.search(r'^sha256 = "[0-9a-f]{64}"$', jar, re.MULTILINE)] == []
