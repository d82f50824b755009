"""Read messages as Celery writes them: https://docs.celeryq.dev/en/stable/internals/protocol.html."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

TEXT_LIMIT = 2000
"""Characters that are shown of what is not Celery's, or of arguments."""


def decode(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a message of SQS says. What is not Celery's is shown as it is; nothing is ever unpickled.

    :param message: as `receive_message` of boto3 returns it, with all attributes.
    """
    attributes = message.get("Attributes", {})
    body = str(message.get("Body", ""))
    found: dict[str, Any] = {
        "id": message.get("MessageId"),
        "sent_at": int(attributes.get("SentTimestamp") or 0) / 1000,
        "receives": int(attributes.get("ApproximateReceiveCount") or 0),
        "group": attributes.get("MessageGroupId"),
        "bytes": len(body.encode()),
    }
    envelope = _envelope(body)
    headers = envelope.get("headers") if envelope else None
    task = headers.get("task") if isinstance(headers, dict) else None
    if not envelope or not isinstance(headers, dict) or not isinstance(task, str) or not task:
        return found | {"task": None, "text": body[:TEXT_LIMIT]}
    args, kwargs = _arguments(envelope, headers)
    return found | {
        "task": task,
        "task_id": headers.get("id"),
        "args": args,
        "kwargs": kwargs,
        "retries": headers.get("retries") or 0,
        "eta": headers.get("eta"),
        "expires": headers.get("expires"),
        "origin": headers.get("origin"),
        "parent": headers.get("parent_id"),
    }


def _envelope(body: str) -> dict[str, Any] | None:
    """Return the message of kombu, which is JSON, and in base64 unless it was told otherwise."""
    for text in (body, _from_base64(body)):
        try:
            found = json.loads(text) if text else None
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return None


def _from_base64(text: object) -> str | None:
    try:
        return base64.b64decode(str(text), validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _arguments(envelope: Mapping[str, Any], headers: Mapping[str, Any]) -> tuple[str, str]:
    """Return the arguments as text: the real ones where they are JSON, else what the publisher wrote of them."""
    properties = envelope.get("properties")
    encoded = isinstance(properties, dict) and properties.get("body_encoding") == "base64"
    text = _from_base64(envelope.get("body")) if encoded else envelope.get("body")
    if envelope.get("content-type") == "application/json" and isinstance(text, str):
        try:
            args, kwargs, *_ = json.loads(text)
            return _short(json.dumps(args, ensure_ascii=False)), _short(json.dumps(kwargs, ensure_ascii=False))
        except (ValueError, TypeError, RecursionError):
            pass  # then what the publisher wrote is the best there is
    return _short(str(headers.get("argsrepr", "?"))), _short(str(headers.get("kwargsrepr", "?")))


def _short(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}…"
