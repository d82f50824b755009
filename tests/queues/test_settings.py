"""What the environment says of the queues, and one line for what it says wrongly."""

from __future__ import annotations

import pytest
from berth_queues import settings
from berth_queues.settings import Trouble

URLS = "default=http://broker:9324/0/default"


@pytest.mark.parametrize(
    ("broker", "urls", "endpoint", "key"),
    [
        ("sqs://broker:9324", URLS, "http://broker:9324", None),
        ("sqs://broker:9324", "a=https://broker:9324/0/a", "https://broker:9324", None),
        ("sqs://k%2Fey:s%40cret@broker:9324", URLS, "http://broker:9324", ("k/ey", "s@cret")),
        ("sqs://", "a=https://sqs.eu-central-1.amazonaws.com/1/a", None, None),
        ("sqs://key:secret@", "a=https://sqs.eu-central-1.amazonaws.com/1/a", None, ("key", "secret")),
    ],
)
def test_the_server_is_the_one_that_celery_uses(
    broker: str, urls: str, endpoint: str | None, key: tuple[str, str] | None
) -> None:
    found = settings.read({"CELERY_BROKER_URL": broker, "SQS_QUEUE_URLS": urls, "AWS_REGION": "eu-central-1"})
    assert (found.endpoint, found.key, found.region) == (endpoint, key, "eu-central-1")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, r"^CELERY_BROKER_URL is empty: "),
        (
            {"CELERY_BROKER_URL": "redis://:secret@cache:6379"},
            r"^the broker is redis, .* flower, `celery -A shop flower`",
        ),
        ({"CELERY_BROKER_URL": "amqp://guest:secret@rabbit//"}, r"^the broker is amqp, .* https://flower\.readthedocs"),
        ({"CELERY_BROKER_URL": "sqs://broker:99999"}, r"^CELERY_BROKER_URL: its port is not a number"),
        ({"CELERY_BROKER_URL": "sqs://b", "SQS_QUEUE_URLS": "default"}, r"^SQS_QUEUE_URLS: `default` is not NAME=URL"),
        ({"CELERY_BROKER_URL": "sqs://b", "SQS_QUEUE_URLS": "a=b/c"}, r"^SQS_QUEUE_URLS: `a=b/c` is not NAME=URL"),
        ({"CELERY_BROKER_URL": "sqs://b", "SQS_QUEUE_URLS": "a=http://b"}, r"^SQS_QUEUE_URLS: `a=http://b` is not"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_a_secret(variables: dict[str, str], message: str) -> None:
    with pytest.raises(Trouble, match=message) as trouble:
        settings.read({"CELERY_APP": "shop", **variables})
    assert "\n" not in str(trouble.value)
    assert "secret" not in str(trouble.value)
