"""What the environment says of the queues."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

FLOWER = "https://flower.readthedocs.io"


class Trouble(Exception):
    """What a user is to know and mend, in one line."""


@dataclass(frozen=True)
class Settings:
    """Where the queues are.

    :param endpoint: URL of the server; None: Amazon's, for the region.
    :param urls: URL of each queue that the project uses, by the name that Celery has for it.
    :param key: key id and secret key that the broker's URL holds; None: boto3 looks for them where it always does.
    """

    endpoint: str | None
    urls: Mapping[str, str]
    region: str
    key: tuple[str, str] | None
    broker_url: str

    @property
    def where(self) -> str:
        """The server, for messages."""
        return self.endpoint or f"Amazon SQS in {self.region}"


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return what CELERY_BROKER_URL, SQS_QUEUE_URLS and AWS_REGION say.

    :raises Trouble: they say nothing that can be understood, or the broker is no SQS server.
    """
    broker_url = environ.get("CELERY_BROKER_URL", "")
    broker = urlsplit(broker_url)
    if not broker_url:
        raise Trouble("CELERY_BROKER_URL is empty: it names no broker, so there are no queues to show")
    if broker.scheme != "sqs":
        raise Trouble(
            f"the broker is {broker.scheme or 'no URL'}, and this is for SQS: for Redis and RabbitMQ there is flower, "
            f"`celery -A {environ.get('CELERY_APP') or 'app'} flower`, see {FLOWER}"
        )
    urls = queue_urls(environ.get("SQS_QUEUE_URLS", ""))
    # As the transport of Celery does, whose `is_secure` is true unless a queue is on plain HTTP.
    scheme = "http" if any(url.startswith("http:") for url in urls.values()) else "https"
    try:
        port = f":{broker.port}" if broker.port else ""
    except ValueError:
        raise Trouble("CELERY_BROKER_URL: its port is not a number from 1 to 65535") from None
    key = (unquote(broker.username), unquote(broker.password or "")) if broker.username else None
    endpoint = f"{scheme}://{broker.hostname}{port}" if broker.hostname else None
    return Settings(endpoint, urls, environ.get("AWS_REGION") or "us-east-1", key, broker_url)


def queue_urls(text: str) -> dict[str, str]:
    """Return the URL of each queue in `NAME=URL,NAME=URL`.

    :raises Trouble: naming the part that is none.
    """
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, url = part.partition("=")
        split = urlsplit(url)
        if not (name and separator and split.scheme in {"http", "https"} and split.netloc and split.path.strip("/")):
            raise Trouble(f"SQS_QUEUE_URLS: `{part}` is not NAME=URL, such as default=http://broker:9324/0/default")
        found[name.strip()] = url
    return found
