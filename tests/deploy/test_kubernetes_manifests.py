"""The plain manifests: they say of each service what the compose files say, and give pods no more than they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deploy.kustomize import OVERLAYS, render
from test_compose_files import env_file as env_file
from test_compose_files import resolve, seconds, settings

from berth.deploy.kubernetes.manifests import Manifests, containers

OWN = ("app", "worker-default", "migrate")
OVERLAY_NAMES = ("production", "demo")


@pytest.fixture(scope="module")
def demo() -> Manifests:
    return render(OVERLAYS / "demo")


@pytest.fixture(scope="module")
def compose(env_file: Path) -> dict[str, Any]:
    """The services as they are in the image that is shipped."""
    return resolve(env_file, "docker-compose.yml", "docker-compose.prod.yml")


def pod(manifests: Manifests, name: str) -> dict[str, Any]:
    return manifests.workloads()[name]["spec"]["template"]["spec"]


def container(manifests: Manifests, name: str) -> dict[str, Any]:
    (only,) = containers(manifests.workloads()[name])
    return only


def test_every_service_has_its_workload(demo: Manifests, compose: dict[str, Any]) -> None:
    assert demo.workloads().keys() == compose.keys()


def test_database_and_broker_are_in_the_demo_only() -> None:
    assert set(render(OVERLAYS / "production").workloads()) == set(OWN)


@pytest.mark.parametrize("name", OWN)
def test_a_service_runs_the_command_of_the_compose_file(demo: Manifests, compose: dict[str, Any], name: str) -> None:
    # `command` would hide the entry point of the image, which waits for the database.
    assert container(demo, name)["args"] == compose[name]["command"]
    assert "command" not in container(demo, name)


@pytest.mark.parametrize("name", OWN)
def test_a_service_runs_as_the_user_of_the_compose_file(demo: Manifests, compose: dict[str, Any], name: str) -> None:
    security = pod(demo, name)["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == compose[name]["user"]


def test_images_of_the_demo_are_those_of_the_compose_file(demo: Manifests, compose: dict[str, Any]) -> None:
    assert {name: container(demo, name)["image"] for name in ("db", "broker")} == {
        name: compose[name]["image"] for name in ("db", "broker")
    }


@pytest.mark.parametrize("name", ["app", "worker-default", "db", "broker"])
def test_a_service_is_probed_by_the_check_of_the_compose_file(
    demo: Manifests, compose: dict[str, Any], name: str
) -> None:
    probed = container(demo, name)
    for probe in ("startupProbe", "readinessProbe"):
        assert ["CMD", *probed[probe]["exec"]["command"]] == compose[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", ["app", "worker-default", "db", "broker"])
def test_a_service_has_the_time_to_stop_of_the_compose_file(
    demo: Manifests, compose: dict[str, Any], name: str
) -> None:
    assert pod(demo, name)["terminationGracePeriodSeconds"] == seconds(compose[name]["stop_grace_period"])


def test_the_pause_before_the_stop_leaves_time_for_requests(demo: Manifests) -> None:
    pause = container(demo, "app")["lifecycle"]["preStop"]["sleep"]["seconds"]
    # gunicorn's `graceful_timeout`
    assert pause + 25 < pod(demo, "app")["terminationGracePeriodSeconds"]


def test_a_worker_has_time_for_its_tasks(demo: Manifests) -> None:
    soft = settings("app.settings.prod", "CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT")["CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT"]
    assert pod(demo, "worker-default")["terminationGracePeriodSeconds"] > soft + 9


@pytest.mark.parametrize("overlay", OVERLAY_NAMES)
def test_no_pod_gets_more_than_the_restricted_standard_allows(overlay: str) -> None:
    manifests = render(OVERLAYS / overlay)
    for name, workload in manifests.workloads().items():
        spec = pod(manifests, name)
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        # DB_PORT of a Service `db` would hide the project's.
        assert spec["enableServiceLinks"] is False, name
        for one in containers(workload):
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert {"cpu", "memory"} <= one["resources"]["requests"].keys(), name
            assert "memory" in one["resources"]["limits"], name


def test_a_rollout_takes_no_old_pod_away_before_a_new_one_is_ready(demo: Manifests) -> None:
    for name, deployment in demo.of("Deployment").items():
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}, name
    assert demo.of("PodDisruptionBudget").keys() == demo.of("Deployment").keys()


def test_a_rollout_fails_no_sooner_than_a_pod_has_waited_for_its_database(demo: Manifests) -> None:
    for name, deployment in demo.of("Deployment").items():
        probe = container(demo, name)["startupProbe"]
        started = probe["periodSeconds"] * probe["failureThreshold"]
        assert 60 < started < deployment["spec"]["progressDeadlineSeconds"], name


def test_only_the_database_sees_the_superusers_password(demo: Manifests) -> None:
    holders = {
        name
        for name in demo.workloads()
        for source in container(demo, name).get("envFrom", [])
        if source.get("secretRef", {}).get("name", "").startswith("db-")
    }
    assert holders == {"db"}


def test_the_database_is_set_up_by_the_file_that_compose_mounts(demo: Manifests) -> None:
    written = {key: text for one in demo.of("ConfigMap").values() for key, text in one.get("data", {}).items()}
    docker = OVERLAYS.parents[1]
    for path in ("db/psql-init/db.sql", "db/check-db.sh", "broker/custom.conf", "broker/check-broker.sh"):
        assert written[Path(path).name] == (docker / path).read_text(), path


def with_component(name: str, folder: Path, *resources: str) -> Manifests:
    """Return what production is with one of the components, and with further resources of docker/."""
    folder.mkdir()
    up = "../" * len(folder.parts[1:])
    more = "".join(f", {up}{OVERLAYS.parents[1].relative_to('/')}/{one}" for one in resources)
    (folder / "kustomization.yaml").write_text(
        f"namespace: shop\nresources: [{up}{OVERLAYS.relative_to('/')}/production{more}]\n"
        f"components: [{up}{(OVERLAYS.parent / 'components').relative_to('/')}/{name}]\n"
    )
    return render(folder)


def test_the_schedule_is_sent_by_what_compose_sends_it_with(env_file: Path, tmp_path: Path) -> None:
    asking = tmp_path / ".env"
    asking.write_text(f"{env_file.read_text()}COMPOSE_PROFILES=beat\n")
    service = resolve(asking, "docker-compose.yml", "docker-compose.prod.yml")["beat"]
    made = with_component("beat", tmp_path / "beat")
    assert made.workloads().keys() == {*OWN, "beat"}
    only = container(made, "beat")
    assert (only["args"], only["image"]) == (service["command"], container(made, "worker-default")["image"])
    assert only["livenessProbe"]["exec"]["command"] == service["healthcheck"]["test"][1:]
    security = pod(made, "beat")["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == service["user"]


def test_an_autoscaler_and_the_manifest_do_not_both_say_a_number(tmp_path: Path) -> None:
    """An apply would set it back each time."""
    for name, scaled in (("hpa", "app"), ("keda", "worker-default")):
        made = with_component(name, tmp_path / name)
        assert "replicas" not in made.of("Deployment")[scaled]["spec"]
        (target,) = {**made.of("HorizontalPodAutoscaler"), **made.of("ScaledObject")}.values()
        assert target["spec"]["scaleTargetRef"]["name"] == scaled


def test_a_backup_is_dumped_by_the_image_of_the_server_and_stored_by_that_of_the_application(tmp_path: Path) -> None:
    made = with_component("backup", tmp_path / "backup", "db")
    jobs = {name: job["spec"]["jobTemplate"]["spec"]["template"]["spec"] for name, job in made.of("CronJob").items()}
    steps = {
        name: [(one["image"], one["command"][1:]) for one in [*spec["initContainers"], *spec["containers"]]]
        for name, spec in jobs.items()
    }
    assert steps == {
        "backup": [
            ("postgres:18", ["/scripts/backup.sh", "dump", "/dumps"]),
            ("app", ["/scripts/store_backup.py", "put", "/dumps"]),
        ],
        "rehearsal": [
            ("app", ["/scripts/store_backup.py", "get", "/dumps"]),
            ("postgres:18", ["/scripts/backup.sh", "rehearse", "/dumps"]),
        ],
    }
    for spec in jobs.values():
        assert spec["securityContext"]["runAsNonRoot"] and spec["automountServiceAccountToken"] is False
        for one in [*spec["initContainers"], *spec["containers"]]:
            assert one["securityContext"] == container(made, "app")["securityContext"]
            assert [source["configMapRef"]["name"] for source in one["envFrom"] if "configMapRef" in source] == [
                source["configMapRef"]["name"]
                for source in container(made, "app")["envFrom"]
                if "configMapRef" in source
            ]
        # By the name with the hash of the content.
        (scripts,) = (one["configMap"]["name"] for one in spec["volumes"] if one["name"] == "scripts")
        assert made.of("ConfigMap")[scripts]["data"].keys() == {
            "backup.sh",
            "dump.sh",
            "inspect-db.sh",
            "snapshot.sh",
            "store_backup.py",
            "db.sql",
        }
