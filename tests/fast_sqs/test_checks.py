"""What is said of settings and queues that will hurt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqs_shop import PACKAGES, wait_until

pytest.importorskip("boto3")

from celery import Celery
from fast_sqs import checks

SOUND = {
    "task_acks_late": True,
    "task_ignore_result": True,
    "task_time_limit": 600,
    "worker_enable_remote_control": False,
    "broker_transport_options": {"predefined_queues": {"default": {"url": "http://broker/0/default"}}},
    "task_routes": ({"shop.*": "default"}, lambda *arguments, **options: None),
}
DEAD_LETTERS = '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:0:dead", "maxReceiveCount": %d}'
QUEUE = {"VisibilityTimeout": "900", "RedrivePolicy": DEAD_LETTERS % 5}


def conf(**settings: Any) -> Any:
    app = Celery("shop", set_as_current=False)
    app.conf.update(SOUND | settings)
    return app.conf


def test_sound_settings_and_a_sound_queue_have_no_problem() -> None:
    assert list(checks.of_settings(conf())) == []
    assert list(checks.of_queue(conf(), "default", QUEUE, grace=25)) == []


@pytest.mark.parametrize(
    ("settings", "number", "words"),
    [
        ({"task_acks_late": False}, 1, "a worker that is killed loses it"),
        ({"worker_enable_remote_control": True}, 2, "remote control is on"),
        ({"worker_send_task_events": True}, 3, "events are on"),
        ({"task_send_sent_event": True}, 3, "events are on"),
        ({"task_ignore_result": False}, 4, "there is no result_backend"),
        (
            {"task_routes": {"shop.mail": {"queue": "letters"}}},
            5,
            "the route of `shop.mail` leads to the queue `letters`",
        ),
        ({"task_routes": [{"shop.mail": "letters"}]}, 5, "which is not in predefined_queues"),
    ],
)
def test_setting_that_hurts_on_sqs_is_named(settings: dict[str, Any], number: int, words: str) -> None:
    (problem,) = checks.of_settings(conf(**settings))

    assert problem.id == f"fast_sqs.W00{number}"
    assert words in problem.text and problem.hint


@pytest.mark.parametrize(
    ("attributes", "number", "words"),
    [
        ({"RedrivePolicy": ""}, 6, "queue default has no dead-letter queue"),
        ({"RedrivePolicy": DEAD_LETTERS % 2}, 7, "maxReceiveCount 2"),
        ({"VisibilityTimeout": "599"}, 8, "after 599 s, but a task may take 600 s"),
        ({"VisibilityTimeout": "700"}, 9, "after 700 s, and a stop may take 250 s"),
    ],
)
def test_queue_that_hurts_is_named(attributes: dict[str, str], number: int, words: str) -> None:
    (problem,) = checks.of_queue(conf(), "default", QUEUE | attributes, grace=250 if number == 9 else 25)

    assert problem.id == f"fast_sqs.W00{number}"
    assert words in problem.text


def test_worker_logs_the_problems_of_its_queue_at_its_start(shop: Any) -> None:
    made = shop(visibility=2, receives=2)
    made.start()
    made.ready()
    wait_until(lambda: "(fast_sqs.W009)" in made.output(), "the worker warns")

    found = [line.partition("WARNING/MainProcess] ")[2] for line in made.output().splitlines() if "fast_sqs.W" in line]
    assert [line.partition(" (")[0] for line in found] == [
        "queue shop has maxReceiveCount 2, so no message is reserved, which is slow",
        "queue shop shows a message again after 2 s, and a stop may take 1 s",
    ]


def test_django_has_the_checks_of_the_settings_with_the_app_installed(tmp_path: Path) -> None:
    pytest.importorskip("django")
    source = """
from celery import Celery
from django.conf import settings
settings.configure(INSTALLED_APPS=["fast_sqs"], SILENCED_SYSTEM_CHECKS=["fast_sqs.W001"])
import django
django.setup()
app = Celery("shop", broker="sqs://")
app.conf.task_ignore_result = True
from django.core.management import call_command
call_command("check", fail_level="WARNING")
"""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES)}
    made = subprocess.run([sys.executable, "-c", source], cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert made.returncode != 0
    assert "(fast_sqs.W002) remote control is on" in made.stderr
    assert "W001" not in made.stderr and "W004" not in made.stderr
