"""Be the broker where the jars of ElasticMQ cannot be had: moto's SQS, with the queues of ElasticMQ's own file.

usage: start_broker_in_memory.py CONFIGURATION PORT MARK

Listens on 127.0.0.1, once the queues are there. Messages live in memory only: MARK is written to say so, with the port
and the process id in it, for Berth to ask how many there are before it stops this process. Needs the packages of
locks/embedded-moto.txt.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
NOTICE = (
    "the broker is moto, as ElasticMQ could not be fetched when .berth/embedded/servers was made: queued messages live "
    "in memory only; `rm -r .berth/embedded/servers` while nothing runs lets `up` fetch it again"
)
TOKEN = re.compile(
    r"""(?P<skip>[ \t\r]+|(?:\#|//)[^\n]*|include\b[^\n]*)
    |(?P<sign>[{}=:,\n])
    |(?P<quoted>"(?!"")[^"\\\n]*")
    |(?P<plain>[^\s{}=:,"\#\[\]$+\\]+(?:[ \t]+(?!//)[^\s{}=:,"\#\[\]$+\\]+)*)""",
    re.X,
)
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
UNITS = {"": "ms", "milli": "ms", "millisecond": "ms", "second": "s", "minute": "m", "hour": "h", "day": "d"}
ATTRIBUTES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "defaultVisibilityTimeout": ("VisibilityTimeout", lambda value: seconds(value)),
    "delay": ("DelaySeconds", lambda value: seconds(value)),
    "receiveMessageWait": ("ReceiveMessageWaitTimeSeconds", lambda value: seconds(value)),
    "fifo": ("FifoQueue", str),
    "contentBasedDeduplication": ("ContentBasedDeduplication", str),
}


class Unreadable(Exception):
    """The configuration says what only ElasticMQ knows to do."""


def parse(text: str) -> dict[str, Any]:
    """Return the blocks and values of a HOCON file, of which ElasticMQ's queues need but this: no list or reference."""
    root: dict[str, Any] = {}
    blocks = [root]
    path: list[str] = []
    value = False
    position = 0
    while position < len(text):
        found = TOKEN.match(text, position)
        line = text.count("\n", 0, position) + 1
        if not found:
            raise Unreadable(f"line {line}: `{text[position:].split()[0]}` is not understood without ElasticMQ")
        position = found.end()
        kind, token = found.lastgroup, found.group()
        if kind == "skip" or token == "\n":
            continue  # a brace, or a value, may stand on the next line
        if token == "{":
            if not path:
                raise Unreadable(f"line {line}: a `{{` without a name")
            blocks.append(_at(blocks[-1], path))
            path, value = [], False
        elif token in {"=", ":"}:
            value = True
        elif token in {"}", ","}:
            if token == "}":
                blocks.pop()
            if not blocks:
                raise Unreadable(f"line {line}: a `}}` too many")
        elif value:
            _at(blocks[-1], path[:-1])[path[-1]] = token.strip('"')
            path, value = [], False
        elif path:
            raise Unreadable(f"line {line}: `{'.'.join(path)}` has no value")
        else:
            path = [token.strip('"')] if kind == "quoted" else token.split(".")
    if len(blocks) > 1:
        raise Unreadable("a `}` is missing")
    return root


def _at(block: dict[str, Any], path: Iterable[str]) -> dict[str, Any]:
    for name in path:
        block = block.setdefault(name, {})
    return block


def seconds(duration: str) -> str:
    """Return a duration of HOCON, such as `900 seconds`, as SQS takes it."""
    found = re.fullmatch(r"(\d+) *([a-z]*)", duration)
    unit = found[2] if found else ""
    unit = UNITS.get(unit.removesuffix("s"), unit) if unit != "s" else unit
    if not found or unit not in SECONDS:
        raise Unreadable(f"`{duration}` is not a duration")
    return str(round(int(found[1]) * SECONDS[unit]))


def queues(configuration: dict[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """Return name and attributes of each queue, those of dead letters before the queues that name them."""
    account, region = identity(configuration)
    found = []
    for name, block in configuration.get("queues", {}).items():
        attributes = {}
        for key, value in block.items():
            if key == "deadLettersQueue":
                attributes["RedrivePolicy"] = json.dumps(
                    {
                        "deadLetterTargetArn": f"arn:aws:sqs:{region}:{account}:{value['name']}",
                        "maxReceiveCount": int(value["maxReceiveCount"]),
                    }
                )
            elif key in ATTRIBUTES:
                attribute, converted = ATTRIBUTES[key]
                attributes[attribute] = converted(value)
            else:
                raise Unreadable(f"queue {name}: moto does not know `{key}`, which only ElasticMQ does")
        found.append((name, attributes))
    return sorted(found, key=lambda queue: "RedrivePolicy" in queue[1])


def identity(configuration: dict[str, Any]) -> tuple[str, str]:
    """Return account and region, of which the queues have their names and URLs."""
    aws = configuration.get("aws", {})
    return aws.get("accountId", "000000000000"), aws.get("region", "us-east-1")


def application(configuration: dict[str, Any]) -> Any:
    """Return moto's SQS as a WSGI application, with the queues."""
    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.test import Client

    account, region = identity(configuration)
    os.environ |= {"MOTO_ACCOUNT_ID": account}
    moto = create_backend_app("sqs")

    def one_for_all(environ: dict[str, Any], start_response: Any) -> Any:
        # Like ElasticMQ, which asks for no key: moto has queues of its own for each region and account that signs.
        environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 Credential=local/20000101/{region}/sqs/aws4_request, "
        # As SQS does: a request that names its action in the query is answered in XML. So asks check-broker.sh.
        if "HTTP_X_AMZ_TARGET" not in environ:
            environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
        return moto(environ, start_response)

    for name, attributes in queues(configuration):
        made = Client(one_for_all).post(
            "/",
            data=json.dumps({"QueueName": name, "Attributes": attributes}),
            headers={"X-Amz-Target": "AmazonSQS.CreateQueue", "Content-Type": "application/x-amz-json-1.0"},
        )
        if made.status_code != 200:
            raise Unreadable(f"queue {name}: {made.text}")
    return one_for_all


def main(path: str, port: str, mark: str) -> None:
    from werkzeug.serving import run_simple

    try:
        configuration = parse(Path(path).read_text(encoding="utf-8"))
        app = application(configuration)
    except Unreadable as error:
        sys.exit(f"{path}: {error}")
    beside = Path(f"{mark}.new")
    beside.write_text(json.dumps({"pid": os.getpid(), "port": int(port), "notice": NOTICE}))
    beside.replace(mark)
    # It would print each request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    names = ", ".join(name for name, _ in queues(configuration))
    print(f"moto on port {port}, with the queues {names}; messages live in memory only", flush=True)
    run_simple(HOST, int(port), app, threaded=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
