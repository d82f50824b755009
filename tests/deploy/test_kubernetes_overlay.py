"""The kustomization of a release: what of the Compose configuration gets into it, and what is refused."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from deploy.kustomize import render
from hypothesis import given, settings
from hypothesis import strategies as st

from berth.compose.config import Stack
from berth.deploy.kubernetes import files, overlay
from berth.deploy.kubernetes.manifests import Manifests, containers
from berth.errors import Refused

BASE = """
resources: [objects.json]
configMapGenerator: [{name: web}]
secretGenerator: [{name: web}, {name: store}]
"""
RELEASE = overlay.Release("shop", "registry.example.com/shop:1.0", {})


def pods(name: str, kind: str = "Deployment", **spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            **spec,
            "template": {
                "spec": {
                    "containers": [
                        {"name": name, "image": "placeholder", "env": [{"name": "RELOAD", "value": "0"}]},
                        {"name": "beside", "image": "other"},
                    ]
                }
            },
        },
    }


INGRESS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"name": "web"},
    "spec": {"rules": [{"host": "www.example.com", "http": {"paths": []}}], "tls": [{"hosts": ["www.example.com"]}]},
}
NIGHTLY = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "nightly"},
    "spec": {
        "schedule": "0 0 * * *",
        "jobTemplate": {
            "spec": {
                "template": {
                    "spec": {
                        "initContainers": [{"name": "first", "image": "another"}],
                        "containers": [{"name": "second", "image": "placeholder"}],
                    }
                }
            }
        },
    },
}
OBJECTS = [pods("web", replicas=2), pods("tasks", replicas=1), pods("upgrade", "Job"), INGRESS, NIGHTLY]


def stack(environment: dict[str, str] | None = None, **services: dict[str, Any]) -> Stack:
    web = {"image": "shop:prod", "environment": environment or {}}
    found = {
        "web": {**web, "labels": {"berth.role": "app"}},
        "tasks": {**web, "environment": {**web["environment"], "RELOAD": "1"}},
        "upgrade": web,
        "store": {"image": "mirror/store:18", "environment": {"STORE_PASSWORD": "secret"}},
        **services,
    }
    return Stack(json.dumps({"name": "shop", "services": found}))


def base(folder: Path) -> Manifests:
    (folder / "base").mkdir()
    (folder / "base" / "kustomization.yaml").write_text(BASE)
    (folder / "base" / "objects.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    return render(folder / "base")


def laid_over(folder: Path, stack: Stack, release: overlay.Release = RELEASE) -> Manifests:
    manifests = base(folder)
    for name, content in overlay.files(stack, manifests, release, base="../base").items():
        path = folder / "release" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, newline="")
    return render(folder / "release")


def test_own_services_run_the_released_image_and_others_that_of_compose(tmp_path: Path) -> None:
    made = laid_over(tmp_path, stack())
    for name, workload in made.workloads().items():
        assert [one["image"] for one in containers(workload)] == [RELEASE.image, "other"], name
    assert {one["metadata"]["namespace"] for one in made.workloads().values()} == {"shop"}


def test_what_runs_on_a_schedule_runs_the_released_image_where_it_is_the_projects(tmp_path: Path) -> None:
    made = laid_over(tmp_path, stack()).of("CronJob")["nightly"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert [one["image"] for one in made["initContainers"] + made["containers"]] == ["another", RELEASE.image]


def values(made: Manifests, kind: str, name: str) -> dict[str, str]:
    (found,) = [one for key, one in made.of(kind).items() if key.startswith(f"{name}-")]
    plain = dict(found.get("data") or {}) | {
        key: base64.b64decode(value).decode() for key, value in (found.get("binaryData") or {}).items()
    }
    if kind == "Secret":
        return {key: base64.b64decode(value).decode() for key, value in plain.items()}
    return plain


def test_secrets_are_told_from_other_variables(tmp_path: Path) -> None:
    environment = {"PLAIN": "1", "DB_PASSWORD": "2", "SECRET_KEY": "3", "DATABASE_URL": "postgres://a:b@c/d"}
    made = laid_over(tmp_path, stack(environment))
    assert values(made, "ConfigMap", "web") == {"PLAIN": "1"}
    assert values(made, "Secret", "web") == {name: environment[name] for name in environment if name != "PLAIN"}
    assert values(made, "Secret", "store") == {"STORE_PASSWORD": "secret"}


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")), min_size=20, max_size=20)
)
def test_values_arrive_as_they_are(texts: list[str]) -> None:
    """Quotes, line ends and equals signs, too, of which kustomize's other forms take some away."""
    texts += ["'quoted'", '"x"', "a=b", "line\nends\n", " blanks ", "#", "$HOME", ""]
    environment = {f"V{number}": text for number, text in enumerate(texts)}
    # Compose doubles dollar signs in what it shows.
    shown = {name: text.replace("$", "$$") for name, text in environment.items()}
    with tempfile.TemporaryDirectory() as folder:
        made = laid_over(Path(folder), stack(shown))
    plain = values(made, "ConfigMap", "web")
    assert plain | values(made, "Secret", "web") == environment


def test_a_changed_value_changes_the_name_of_what_holds_it(tmp_path: Path) -> None:
    """So that the pods are made anew."""
    names = []
    for value in ("1", "2", "1"):
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            names.append(sorted(laid_over(Path(folder), stack({"PLAIN": value})).of("ConfigMap")))
    assert names[0] == names[2] != names[1]


def test_every_host_name_of_the_site_gets_its_rule(tmp_path: Path) -> None:
    made = laid_over(tmp_path, stack({"ALLOWED_HOSTS": "localhost, shop.example.org,.example.net,10.0.0.1"}))
    (ingress,) = made.of("Ingress").values()
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == ["shop.example.org", "*.example.net"]
    assert ingress["spec"]["tls"][0]["hosts"] == ["shop.example.org", "*.example.net"]


def test_a_site_without_a_host_name_gets_no_ingress(tmp_path: Path) -> None:
    assert laid_over(tmp_path, stack({"ALLOWED_HOSTS": "localhost"})).of("Ingress") == {}


def test_a_number_of_replicas_that_was_chosen_stays(tmp_path: Path) -> None:
    made = laid_over(tmp_path, stack(), RELEASE._replace(replicas={"web": 7, "elsewhere": 3}))
    assert {name: one["spec"].get("replicas") for name, one in made.workloads().items()} == {
        "web": 7,
        "tasks": 1,
        "upgrade": None,
    }


def test_the_compose_files_say_how_many_there_are_at_first_and_where_there_are_to_be_none(tmp_path: Path) -> None:
    def tasks(count: int) -> dict[str, Any]:
        return {"image": "shop:prod", "deploy": {"replicas": count}}

    for number, (said, running, expected) in enumerate([(3, {}, 3), (3, {"tasks": 5}, 5), (0, {"tasks": 5}, 0)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = laid_over(folder, stack(tasks=tasks(said)), RELEASE._replace(replicas=running))
        assert made.of("Deployment")["tasks"]["spec"]["replicas"] == expected


def refusal(folder: Path, stack: Stack) -> str:
    with pytest.raises(Refused) as refused:
        overlay.files(stack, base(folder), RELEASE, base="../base")
    return str(refused.value)


def test_a_service_without_a_manifest_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, stack(mails={"image": "shop:prod"}))
    assert said.startswith("no Deployment, StatefulSet or Job is called `mails`")


def test_a_service_that_has_no_replicas_needs_no_manifest(tmp_path: Path) -> None:
    none = {"image": "shop:prod", "deploy": {"replicas": 0}}
    assert overlay.files(stack(mails=none), base(tmp_path), RELEASE, base="../base")


def test_an_environment_that_two_services_do_not_share_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, stack({"LEVEL": "1"}, tasks={"image": "shop:prod", "environment": {"LEVEL": "2"}}))
    assert said.startswith("LEVEL of the service `tasks` is not that of `web`")


@pytest.mark.parametrize("value", ["store", "sqs://store:9324", "a=http://store:1/x", "postgres://u:p@store/x"])
def test_a_host_of_compose_that_the_cluster_does_not_have_is_refused(tmp_path: Path, value: str) -> None:
    name = "DB_HOST" if value == "store" else "BROKER_URL"
    assert refusal(tmp_path, stack({name: value})).startswith(f"{name} names the service `store`")


@pytest.mark.parametrize("value", ["store.example.com", "sqs://", "https://mystore/x"])
def test_another_host_is_not(tmp_path: Path, value: str) -> None:
    assert overlay.files(stack({"BROKER_URL": value}), base(tmp_path), RELEASE, base="../base")


def test_a_project_name_that_is_no_namespace_is_refused() -> None:
    with pytest.raises(Refused, match=r"`my_shop` \(COMPOSE_PROJECT_NAME\).*set KUBERNETES_NAMESPACE in \.env"):
        overlay.check_namespace("my_shop", "COMPOSE_PROJECT_NAME")
    assert overlay.check_namespace("my-shop", "COMPOSE_PROJECT_NAME") == "my-shop"


def test_no_secret_stands_in_the_kustomization_itself(tmp_path: Path) -> None:
    made = overlay.files(stack({"DB_PASSWORD": "deadbeef"}), base(tmp_path), RELEASE, base="../base")
    assert [name for name, content in made.items() if "deadbeef" in content] == [os.path.join("secret/web/DB_PASSWORD")]


def test_what_is_applied_can_be_read_by_its_owner_only_and_holds_nothing_of_an_earlier_release(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "kubernetes"
    files.replace(folder, {"old": "1"})
    files.replace(folder, {"kustomization.yaml": "{}\n", "secret/web/KEY": "a\r\nb"})
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert found.keys() == {"kustomization.yaml", "secret/web/KEY"}
    assert found["secret/web/KEY"].read_bytes() == b"a\r\nb"
    assert {path.stat().st_mode & 0o777 for path in found.values()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
