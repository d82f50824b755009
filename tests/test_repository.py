"""What the files of the repository promise one another."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from berth import env
from berth.compose import release, throwaway

ROOT = Path(__file__).parents[1]
COMPOSE_FILES = sorted((ROOT / "docker").glob("docker-compose*.yml"))
TEMPLATE = env.parse_template((ROOT / ".env.template").read_text())
# Read by Compose itself and by Berth, not by the compose files.
OF_COMPOSE = {
    "BERTH_ENGINE",
    "COMPOSE_FILE",
    "COMPOSE_PROFILES",
    "DB_AFTER_LOAD_SQL",
    "DB_SNAPSHOTS_DAYS",
    "DB_SNAPSHOTS_KEPT",
    "DEPLOY_COMPOSE_FILE",
    "DEPLOY_ENV_FILE",
    "DEPLOY_NAME",
    "KUBERNETES_NAMESPACE",
    "KUBERNETES_OVERLAY",
    "POSTGRES_BEFORE_UPGRADE",
    "REGISTRY",
}
SET_BY_BERTH = {
    *release.Release("a", "1", "now", "here").variables(),
    *(
        variable
        for image in ("dev", "test", "dev-x")
        for variable in throwaway.variables(["a"], project_name="p", image=image, run="1")
    ),
}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:?[-?+])((?:[^{}]|\$\{[^{}]*\})*))?\}")


def tracked(*patterns: str) -> list[Path]:
    """Return the files that git knows or would add."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns], cwd=ROOT, text=True
    )
    return sorted(ROOT / file for file in listed.split("\0") if file and (ROOT / file).is_file())


def text(path: Path) -> str:
    return path.read_text(errors="replace")


def without_comments(path: Path) -> str:
    return re.sub(r"^\s*#.*$", "", text(path), flags=re.M)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def variables(text: str) -> list[tuple[str, str, str]]:
    """Return name, operator and operand of each `${...}`, of nested ones too."""
    found = []
    for variable, operator, operand in VARIABLE.findall(text):
        found += [(variable, operator, operand), *variables(operand)]
    return found


IN_COMPOSE = {found for file in COMPOSE_FILES for found in variables(without_comments(file))}
# `NAME:` alone passes a variable on if it is set.
PASSED_ON = {name for file in COMPOSE_FILES for name in re.findall(r"(?m)^ +([A-Z_]+):$", without_comments(file))}


# --- Variables ---------------------------------------------------------------


def test_variables_are_read_as_compose_reads_them() -> None:
    assert variables("${A} $${B} ${C:-d} ${E-} ${F:?set it} ${G:-${H:?i}-x:${J:-k}}") == [
        ("A", "", ""),
        ("C", ":-", "d"),
        ("E", "-", ""),
        ("F", ":?", "set it"),
        ("G", ":-", "${H:?i}-x:${J:-k}"),
        ("H", ":?", "i"),
        ("J", ":-", "k"),
    ]


def test_every_variable_of_the_compose_files_stands_in_the_template() -> None:
    assert {variable for variable, _, _ in IN_COMPOSE} - set(TEMPLATE) - SET_BY_BERTH == set()
    assert set(TEMPLATE) >= PASSED_ON


def test_every_variable_of_the_template_is_used() -> None:
    assert set(TEMPLATE) - {variable for variable, _, _ in IN_COMPOSE} - PASSED_ON - OF_COMPOSE == set()


def test_defaults_of_the_compose_file_are_those_of_the_template() -> None:
    """But for those without a default, which the template shows an example of."""
    compose = variables(without_comments(ROOT / "docker" / "docker-compose.yml"))
    defaults = {
        variable: default
        for variable, operator, default in compose
        if operator in {":-", "-"} and default not in {"", "/dev/null"} and variable in TEMPLATE
    }
    assert len(defaults) > 20
    assert defaults == {variable: TEMPLATE[variable].default for variable in defaults}


def test_a_variable_has_one_default() -> None:
    compose = variables(without_comments(ROOT / "docker" / "docker-compose.yml"))
    several = {
        variable for variable, _, default in compose for other, _, b in compose if variable == other if default != b
    }
    # `${COMPOSE_PROJECT_NAME}` and the like are not given a default twice in any other way.
    assert several == set()


def test_required_variables_say_how_to_set_them() -> None:
    required = {variable: words for variable, operator, words in IN_COMPOSE if "?" in operator}
    assert set(required.values()) == {"set it in .env, or type ./inv up"}
    assert {variable for variable in required if TEMPLATE[variable].optional} == set()


def test_every_variable_of_the_template_is_explained() -> None:
    rows = (ROOT / ".env.template").read_text().splitlines()
    for variable in TEMPLATE.values():
        above = [row for row in rows[: variable.line - 1] if not row.startswith("#:")][-1]
        assert re.fullmatch(r"# .*\.", above), f"{variable.name}: {above!r}"


# --- Files -------------------------------------------------------------------

FILES = tracked()


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=name)
def test_compose_file_has_no_names_or_version_of_its_own(path: Path) -> None:
    # A name that begins with the project's is that project's alone.
    assert (
        re.findall(
            r"^\s*(?:version|name(?!: \$\{COMPOSE_PROJECT_NAME\b)|container_name|env_file):.*",
            without_comments(path),
            flags=re.M,
        )
        == []
    )


def test_no_dockerfile_asks_a_registry_for_its_syntax() -> None:
    assert [name(path) for path in FILES if re.search(r"(?m)\A# syntax=", text(path))] == []


def shell_files() -> list[Path]:
    return [path for path in FILES if re.match(r"#!.*\b(?:bash|sh)\b", text(path).partition("\n")[0])]


def test_shell_files_are_found() -> None:
    assert {"inv", ".ci/run", ".ci/engine", "docker/app/entrypoint.sh"} <= {name(path) for path in shell_files()}
    assert [name(path) for path in FILES if path.suffix == ".sh" and path not in shell_files()] == []


@pytest.mark.parametrize("path", shell_files(), ids=name)
def test_shell_file_is_executable_and_stops_at_errors(path: Path) -> None:
    # The launcher runs anywhere; some images of Redis have no bash.
    plain = name(path) in {"inv", "berth/init/files/check-redis.sh"}
    head = "#!/bin/sh" if plain else "#!/usr/bin/env bash"
    stop = "set -eu" if plain else "set -Eeuo pipefail"
    lines = text(path).splitlines()
    assert os.access(path, os.X_OK)
    assert lines[0] == head
    assert next(line for line in lines if line and not line.startswith("#")) == stop


@pytest.mark.parametrize("folder", ["", "app/", "docker/db/", "a/b/c/"])
@pytest.mark.parametrize("file", [".env", ".env.local", "prod.env", ".env.bak"])
def test_git_ignores_secrets_at_any_depth(folder: str, file: str) -> None:
    assert subprocess.run(["git", "check-ignore", "--quiet", folder + file], cwd=ROOT).returncode == 0


def test_git_keeps_the_template() -> None:
    assert subprocess.run(["git", "check-ignore", "--quiet", ".env.template"], cwd=ROOT).returncode == 1
    assert ROOT / ".env.template" in FILES


def test_images_are_built_without_secrets_at_any_depth() -> None:
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"**/.env", "**/.env.*", "**/*.env"} <= set(patterns)
