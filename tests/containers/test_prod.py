"""The image that is shipped: released, tried as it is, and what it may not hold."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator

import pytest
from containers.checkout import docker, ok, within
from containers.conftest import Stack
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.containers

BUDGET_MB = 110
"""What the image may add to its base."""


@pytest.fixture(scope="module")
def released(stack: Stack) -> Iterator[tuple[str, list[str]]]:
    """The commit, and what `inv release` has printed for it behind the lines of the build."""
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "All"]):
        subprocess.run(["git", *author, *words], cwd=stack.root, check=True)
    made = ok(stack.inv("release", "--version", "1.4.0"))
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=stack.root, text=True)[:12]
    yield commit, made.stdout.splitlines()[-3:]
    subprocess.run(["rm", "-rf", ".git"], cwd=stack.root, check=True)


def test_a_release_is_named_labelled_and_the_same_each_time(stack: Stack, released: tuple[str, list[str]]) -> None:
    commit, printed = released
    app = f"{stack.name}-app"
    assert printed == [f"{app}:{commit}", f"{app}:1.4.0", f".berth/releases/{app}-{commit}.cdx.json"]
    first, second = (docker("image", "inspect", "-f", "{{.Id}}", name).stdout for name in printed[:2])
    labels = json.loads(docker("image", "inspect", "-f", "{{json .Config.Labels}}", printed[0]).stdout)
    created = subprocess.check_output(["git", "show", "-s", "--format=%cI"], cwd=stack.root, text=True).strip()
    assert (
        labels
        | {
            "org.opencontainers.image.revision": commit,
            "org.opencontainers.image.version": "1.4.0",
            "org.opencontainers.image.created": created,
        }
        == labels
    )
    ok(stack.inv("release", "--version", "1.4.0"))
    again = docker("image", "inspect", "-f", "{{.Id}}", printed[0]).stdout
    assert first == second == again


def test_the_list_of_packages_is_that_of_the_image(stack: Stack, released: tuple[str, list[str]]) -> None:
    _, printed = released
    listed = json.loads((stack.root / printed[2]).read_text())
    script = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    inside = docker("run", "--rm", "--env", "DB_HOST=", printed[0], "python", "-c", script).stdout.split()
    packages = {f"{part['name']}=={part['version']}" for part in listed["components"]}

    def plain(names: set[str]) -> set[str]:
        pairs = (name.split("==") for name in names)
        return {f"{canonicalize_name(name)}=={version}" for name, version in pairs}

    assert listed["bomFormat"] == "CycloneDX"
    assert plain(set(inside)) <= plain(packages)


def test_the_image_keeps_its_budget(stack: Stack, released: tuple[str, list[str]]) -> None:
    sizes = (
        int(docker("image", "inspect", "-f", "{{.Size}}", name).stdout) / 1e6
        for name in (released[1][0], stack.value("PYTHON_IMAGE"))
    )
    image, base = sizes
    assert image - base <= BUDGET_MB


def test_the_released_image_serves_is_hardened_and_stops_in_order(
    stack: Stack, released: tuple[str, list[str]]
) -> None:
    image = released[1][0]
    try:
        up = ok(stack.inv("prod.up", "--image", image))
        smoke = ok(stack.inv("prod.smoke", "--image", image))
    finally:
        down = stack.inv("prod.down")
    assert re.fullmatch(r"https://localhost:\d+\n", up.stdout)
    lines = smoke.stdout.splitlines()
    assert len(lines) >= 19
    assert "ok   a task that is published runs" in lines
    # Through the proxy that opens TLS, and while one of two replicas stops.
    assert len([line for line in lines if line.startswith(("ok   https: ", "ok   http: "))]) == 6
    assert re.fullmatch(r"ok   no request is lost while a replica stops, of [1-9]\d\d+ by https", lines[-2])
    assert [line for line in lines if not line.startswith("ok  ")] == []
    assert ok(down).returncode == 0
    assert stack.leftovers(f"{stack.name}-prod") == []


def test_the_smoke_test_can_fail(shipped: Callable[..., str]) -> None:
    """In a container that keeps all that an engine gives."""
    container = shipped("start-prod-server.sh")
    within(40, lambda: docker("exec", container, "check-http.sh", check=False).returncode == 0, "the server is ready")

    made = docker("exec", container, "smoke-test", check=False)

    assert made.returncode == 1
    assert [line.partition(" (")[0] for line in made.stdout.splitlines() if line.startswith("FAIL")] == [
        "FAIL there are no capabilities",
        "FAIL no process gets more privileges",
        "FAIL the file system is read-only",
    ]
