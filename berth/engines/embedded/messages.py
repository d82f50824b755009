"""Ask servers that keep messages in memory only how many there are, before they are stopped.

Such a server writes a file for Berth: `{"pid": 1234, "port": 9324, "notice": "what to tell at `up`"}`.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import psutil

from berth.engines.embedded.state import State
from berth.errors import Refused

HOST = "127.0.0.1"
LIMIT_S = 10
COUNTED = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


def notice(file: Path) -> str:
    """Return what the server wants users to know."""
    return str(json.loads(file.read_text(encoding="utf-8"))["notice"])


def said(file: Path, service: str) -> str:
    """Return a sentence on the messages that would be lost with the server, nothing if there are none."""
    server = json.loads(file.read_text(encoding="utf-8"))
    if not psutil.pid_exists(server["pid"]):
        return ""  # and somebody else may have its port
    port = server["port"]
    try:
        urls = _ask(port, "ListQueues").get("QueueUrls", [])
        rows = [_ask(port, "GetQueueAttributes", QueueUrl=url, AttributeNames=COUNTED) for url in urls]
    except ConnectionRefusedError:
        return ""  # it has none yet
    except (OSError, http.client.HTTPException, ValueError):
        return f"{service} does not say how many messages are queued, in memory only"
    return sentence(sum(messages(row["Attributes"]) for row in rows), service)


def check(state: State, services: Collection[str], line: str) -> None:
    """:raises Refused: messages would be lost with one of these services.

    :param line: what to type to lose them, without `--yes`.
    """
    for service, file in state.in_memory().items():
        if service in services and (sentence := said(file, service)):
            raise Refused(f"{sentence}: type `{line} --yes` to throw that away")


def messages(attributes: Mapping[str, str]) -> int:
    """Return how many messages a queue has, in flight and delayed ones, too."""
    return sum(int(attributes[name]) for name in COUNTED)


def sentence(number: int, service: str) -> str:
    if number == 0:
        return ""
    return f"{number} message{'s are' if number > 1 else ' is'} queued in {service}, in memory only"


def _ask(port: int, action: str, **parameters: object) -> dict[str, Any]:
    """:raises OSError, HTTPException, ValueError: there is no answer that is one of SQS."""
    connection = http.client.HTTPConnection(HOST, port, timeout=LIMIT_S)
    try:
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
        connection.request("POST", "/", json.dumps(parameters), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise ValueError(f"{action}: {answer.status}")
        found: dict[str, Any] = json.loads(text)
        return found
    finally:
        connection.close()
