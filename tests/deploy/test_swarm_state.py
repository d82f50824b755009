"""What the engine says of a stack that changes: when it is done, when it has failed, and why."""

from __future__ import annotations

import json

import pytest

from berth.deploy.swarm import state
from berth.deploy.swarm.state import Service, Task

BEFORE = Service("app", False, 2, 2, template="old", update="completed", started="1")


@pytest.mark.parametrize(
    ("now", "is_done", "has_failed"),
    [
        (Service("app", False, 2, 2, "new"), False, False),
        (Service("app", False, 3, 2, "new", "updating", "", "2"), False, False),
        (Service("app", False, 2, 2, "new", "completed", "", "2"), True, False),
        (Service("app", False, 1, 2, "new", "completed", "", "2"), False, False),
        (Service("app", False, 2, 2, "old", "rollback_started", "", "2"), False, False),
        (Service("app", False, 2, 2, "old", "rollback_completed", "", "2"), False, True),
        (Service("app", False, 2, 2, "new", "paused", "", "2"), False, True),
        (Service("app", False, 2, 2, "old", "completed", "", "1"), True, False),
        (Service("app", False, 2, 3, "old", "completed", "", "1"), False, False),
        (Service("app", False, 0, 0, "new"), True, False),
        (Service("app", True, 0, 0, "old"), False, False),
    ],
    ids=[
        "not begun",
        "updating",
        "replaced",
        "replaced, and one is missing",
        "going back",
        "gone back",
        "stands still",
        "nothing to replace",
        "more replicas",
        "no replicas",
        "nodes not counted",
    ],
)
def test_an_update_has_ended_only_when_the_engine_says_so(now: Service, is_done: bool, has_failed: bool) -> None:
    assert state.is_done(now, BEFORE) is is_done
    assert state.has_failed(now, BEFORE, failures=0) is has_failed


def test_a_new_service_has_failed_when_its_replicas_fail_again_and_again() -> None:
    now = Service("app", False, 0, 2, "new")
    assert not state.is_done(now, None)
    assert [state.has_failed(now, None, failures) for failures in (0, 2, 3)] == [False, False, True]
    assert state.is_done(now._replace(running=2), None)


def test_services_are_read_with_their_update() -> None:
    listed = "\n".join(
        json.dumps(row)
        for row in (
            {"Name": "live_web", "Mode": "replicated", "Replicas": "1/2"},
            {"Name": "live_proxy", "Mode": "global", "Replicas": "1/1"},
            {"Name": "live_gone", "Mode": "replicated", "Replicas": "1/1"},
        )
    )
    update = {"State": "updating", "Message": "update in progress", "StartedAt": "3"}
    inspected = json.dumps(
        [
            {"Spec": {"Name": "live_web", "TaskTemplate": {"b": 1, "a": 2}}, "UpdateStatus": update},
            {"Spec": {"Name": "live_proxy", "TaskTemplate": {}}},
        ]
    )
    found = state.services(listed, inspected, "live")
    assert found["web"] == Service("web", False, 1, 2, '{"a": 2, "b": 1}', "updating", "update in progress", "3")
    assert (found["proxy"].everywhere, found["proxy"].update) == (True, "")
    assert "gone" not in found
    assert state.progress(found) == "web 1/2 updating, proxy 1/1"


def test_only_tasks_that_failed_since_are_to_blame() -> None:
    rows = [
        {"ID": "c", "Name": "live_web.1", "CurrentState": "Failed 2 seconds ago", "Error": '"task: non-zero exit (1)"'},
        {"ID": "b", "Name": "live_web.1", "CurrentState": "Failed 9 days ago", "Error": "old"},
        {"ID": "a", "Name": "live_proxy.node.x", "CurrentState": "Running 9 days ago", "Error": ""},
    ]
    tasks = state.tasks("\n".join(map(json.dumps, rows)), "live")
    assert state.failed(tasks, "web", {"b"}) == [Task("c", "web", "failed", "task: non-zero exit (1)")]
    assert state.failed(tasks, "proxy") == []


def test_the_last_failed_health_check_is_told() -> None:
    log = [{"ExitCode": 1, "Output": "first"}, {"ExitCode": 1, "Output": "GET /: 503\n"}, {"ExitCode": 0, "Output": ""}]
    assert state.health(json.dumps([{"State": {"Health": {"Log": log}}}])) == "GET /: 503"
    assert state.health(json.dumps([{"State": {}}])) == ""
    assert state.health("") == ""


@pytest.mark.parametrize(
    ("said", "runs", "is_complete"),
    [("pending", True, False), ("running", True, False), ("complete", False, True), ("failed", False, False)],
)
def test_a_job_runs_until_it_has_ended(said: str, runs: bool, is_complete: bool) -> None:
    tasks = [Task("a", "job", said, ""), Task("b", "web", "running", "")]
    assert (state.runs(tasks, "job"), state.is_complete(tasks, "job")) == (runs, is_complete)
