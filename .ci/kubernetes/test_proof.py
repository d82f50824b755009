"""Deployments to a real Kubernetes, under load: `nox -s kubernetes-proof` makes the cluster, as root.

Each request is a new connection, as a balancer without any memory would make it, so that none is saved by an old one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from containers.checkout import Checkout, checkout, docker, ok

HERE = Path(__file__).parent
CLUSTER = HERE / "cluster"
DEPLOYS = 5
THREADS = 8
PAUSE_S = 0.005
# It costs little: the more requests, the more of them in the moment between the end of a pod and the news of it.
PAGE = "/status/"
PATIENCE = 400

BROKEN = "RUN echo 'raise RuntimeError(\"a broken release\")' > /home/web/code/app/wsgi.py"
BAD_MIGRATION = "RUN echo 'raise RuntimeError(\"a bad migration\")' > /home/web/code/users/migrations/0999_bad.py"
WITHOUT_PRESTOP = """
resources: [../demo]
patches:
  - target: {kind: Deployment, name: app}
    patch: '[{"op": "remove", "path": "/spec/template/spec/containers/0/lifecycle"}]'
"""
TASK = """
import time
from users.models import UserExport
from users.tasks import export_users
export = UserExport.objects.create()
export_users.delay(export.pk)
for _ in range(300):
    export.refresh_from_db()
    if export.status == export.Status.FINISHED:
        break
    time.sleep(0.1)
print(export.status)
"""


class Count(NamedTuple):
    """What became of the requests while something was done."""

    requests: int
    failed: int
    failures: dict[str, int]
    slowest_s: float


class Load:
    """Requests to the Service of the site, from the node, until `stop`."""

    def __init__(self, address: str) -> None:
        line = [CLUSTER, "run", sys.executable, HERE / "load.py", address, PAGE, str(THREADS), str(PAUSE_S)]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self) -> Count:
        answer, _ = self._process.communicate(timeout=60)
        count = Count(**json.loads(answer))
        print(count)
        return count


class Site:
    """A checkout whose `inv deploy --to kubernetes` reaches the cluster of these tests."""

    def __init__(self, made: Checkout) -> None:
        self.checkout = made

    def inv(self, *words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "invoke", *words]
        done = subprocess.run(
            line,
            cwd=self.checkout.root,
            env=self.checkout.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        print(done.stdout, done.stderr, sep="\n")
        return done

    def deploy(self, release: str) -> subprocess.CompletedProcess[str]:
        return self.inv("deploy", "--to", "kubernetes", "--image", self.image(release))

    def image(self, release: str) -> str:
        return f"{self.checkout.name}-app:{release}"

    def kubectl(self, *words: str) -> str:
        line = [CLUSTER, "run", "kubectl", "--namespace", self.checkout.name, *words]
        return subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout

    def running(self) -> tuple[str, int]:
        """Return the image of the Deployment that serves, and how many of its replicas are ready."""
        found = json.loads(self.kubectl("get", "deployment/app", "--output", "json"))
        return found["spec"]["template"]["spec"]["containers"][0]["image"], found["status"].get("readyReplicas", 0)

    def build(self, *releases: str, line: str = "") -> None:
        """Make releases of the image that is shipped, and give them to the cluster."""
        for release in releases:
            recipe = f"FROM {self.image('prod')}\nUSER 0\n{line}\nUSER 10001:10001\nLABEL release={release}\n"
            subprocess.run(
                ["docker", "build", "--quiet", "--tag", self.image(release), "-"], input=recipe, text=True, check=True
            )
        subprocess.run([CLUSTER, "load", *map(self.image, releases)], check=True)

    def load(self) -> Load:
        return Load(self.kubectl("get", "service/app", "--output", "jsonpath={.spec.clusterIP}"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    subprocess.run([CLUSTER, "up"], check=True)
    yield
    subprocess.run([CLUSTER, "down"], check=True)


@pytest.fixture(scope="module")
def site(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that serves its release `r0`."""
    programs = tmp_path_factory.mktemp("bin")
    kubectl = programs / "kubectl"
    kubectl.write_text(f'#!/bin/sh\nexec {CLUSTER} run kubectl "$@"\n')
    kubectl.chmod(0o755)
    with checkout() as made:
        made.prepare()
        made.environment["PATH"] = f"{programs}{os.pathsep}{made.environment['PATH']}"
        made.set(KUBERNETES_OVERLAY="demo")
        ok(made.inv("build", "--prod"))
        site = Site(made)
        images = [made.value(name) for name in ("POSTGRES_IMAGE", "BROKER_IMAGE")]
        subprocess.run([CLUSTER, "load", *images], check=True)
        site.build("r0")
        ok(site.deploy("r0"))
        yield site
        listed = docker("image", "ls", "--quiet", f"{made.name}-app").stdout.split()
        docker("image", "rm", "--force", *set(listed))


def test_deploys_in_a_row_under_load_fail_no_request(site: Site) -> None:
    releases = [f"r{number}" for number in range(1, DEPLOYS + 1)]
    site.build(*releases)
    load = site.load()
    for release in releases:
        ok(site.deploy(release))
    count = load.stop()
    assert site.running() == (site.image(releases[-1]), 2)
    assert count.requests > 500
    assert count.failed == 0, count.failures


def test_a_task_that_a_server_sends_is_worked_on(site: Site) -> None:
    said = site.kubectl("exec", "deployment/app", "--", "python", "manage.py", "shell", "--command", TASK)
    assert said.splitlines()[-1] == "finished"


def test_a_broken_version_leaves_the_old_one_serving_and_is_taken_back(site: Site) -> None:
    site.build("broken", line=BROKEN)
    before = site.running()
    load = site.load()
    made = site.deploy("broken")
    count = load.stop()
    assert made.returncode == 1
    assert "RuntimeError: a broken release" in made.stderr
    assert "the version before is back" in made.stderr
    assert site.running() == before
    assert count.failed == 0, count.failures


def test_a_migration_that_fails_replaces_nothing(site: Site) -> None:
    site.build("bad-migration", line=BAD_MIGRATION)
    before = site.running()
    made = site.deploy("bad-migration")
    assert made.returncode == 1
    assert "so nothing was replaced" in made.stderr
    assert "RuntimeError: a bad migration" in made.stderr
    assert site.running() == before


def test_rollback_brings_the_version_before_back_without_a_failed_request(site: Site) -> None:
    site.build("good", "better")
    ok(site.deploy("good"))
    ok(site.deploy("better"))
    load = site.load()
    ok(site.inv("deploy.rollback", "--to", "kubernetes"))
    count = load.stop()
    assert site.running() == (site.image("good"), 2)
    assert count.failed == 0, count.failures


def test_a_deploy_leaves_the_number_of_replicas_that_was_chosen(site: Site) -> None:
    ok(site.inv("deploy.scale", "--to", "kubernetes", "app=3"))
    assert site.running()[1] == 3
    ok(site.deploy("better"))
    assert site.running() == (site.image("better"), 3)
    ok(site.inv("deploy.scale", "--to", "kubernetes", "app=2"))


def test_status_shows_image_and_replicas(site: Site) -> None:
    made = site.inv("deploy.status", "--to", "kubernetes")
    assert made.returncode == 0
    image, ready = site.running()
    assert f"{ready}/{ready}" in made.stdout
    assert image in made.stdout


def test_server_takes_the_autoscaler_and_the_overlay_of_production(site: Site, tmp_path: Path) -> None:
    """And none of their pods would break the restricted standard, which the namespace warns of."""
    folder = site.checkout.root / "docker/kubernetes/overlays/scaled"
    folder.mkdir()
    lines = f"namespace: {site.checkout.name}\nresources: [../production]\ncomponents: [../../components/hpa]\n"
    (folder / "kustomization.yaml").write_text(lines)
    site.kubectl("delete", "jobs", "--all")
    line = [CLUSTER, "run", "kubectl", "apply", "--dry-run=server", "--kustomize", folder]
    made = subprocess.run(line, capture_output=True, text=True)
    assert (made.returncode, made.stderr) == (0, "")
    assert "horizontalpodautoscaler.autoscaling/app created (server dry run)" in made.stdout


def test_without_its_pause_before_the_stop_a_deployment_does_fail_requests(site: Site) -> None:
    """So the tests above can fail."""
    folder = site.checkout.root / "docker/kubernetes/overlays/control"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(WITHOUT_PRESTOP)
    site.checkout.set(KUBERNETES_OVERLAY="control")
    site.build("control-1", "control-2")
    ok(site.deploy("control-1"))
    failed = 0
    # The moment between the end of a pod and the news of it is short: on one node one deployment may be lucky.
    for release in ("control-2", "control-1", "control-2", "control-1"):
        load = site.load()
        ok(site.deploy(release))
        failed += load.stop().failed
        if failed:
            break
    assert failed > 0
