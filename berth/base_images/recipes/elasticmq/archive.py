"""Write TARGET/elasticmq.aot, an archive of classes that more than halves the time until the server answers.

    python archive.py TARGET JAVA

TARGET is what fetch.py made, JAVA the `java` of a JRE of version 25 or later. The server is run once, with messages
stored on disk, and records what it loads; later runs with this JVM, from within TARGET, use the archive with
`-XX:AOTCache=elasticmq.aot`.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

START_TIMEOUT = 60  # seconds


def record(target: Path, java: str) -> None:
    """Run the server of `target` on `java` with a few messages and let it write the archive.

    Raises RuntimeError if the server does not answer within START_TIMEOUT seconds or writes no archive.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as store:
        server = subprocess.Popen(
            [
                java,
                "@server.args",
                "@classpath.args",
                "-XX:AOTCacheOutput=elasticmq.aot",
                f"-Dconfig.file={Path(__file__).with_name('elasticmq.conf').resolve()}",
                "-Drest-sqs.bind-hostname=127.0.0.1",
                f"-Drest-sqs.bind-port={port}",
                "-Dmessages-storage.enabled=true",
                f"-Dmessages-storage.uri=jdbc:h2:{store}/messages",
                "org.elasticmq.server.Main",
            ],
            cwd=target,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for_health(url, server)
            exchange_messages(url)
        finally:
            server.terminate()
            server.wait()
    if not (target / "elasticmq.aot").exists():
        raise RuntimeError(f"the server ended with {server.returncode} and wrote no {target}/elasticmq.aot")


def wait_for_health(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not answer at {url}/health: {error}") from error
        time.sleep(0.1)


def exchange_messages(url: str) -> None:
    queue = call(url, "CreateQueue", QueueName="recorded")["QueueUrl"]
    for body in ("first", "second"):
        call(url, "SendMessage", QueueUrl=queue, MessageBody=body)
    for message in call(url, "ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]:
        call(url, "DeleteMessage", QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    call(url, "GetQueueAttributes", QueueUrl=queue, AttributeNames=["All"])


def call(url: str, action: str, **arguments: object) -> dict[str, Any]:
    """Ask the server as boto3 does, in SQS's JSON protocol. Returns the decoded answer."""
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
    request = urllib.request.Request(url, json.dumps(arguments).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read() or b"{}")
    return found


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: archive.py TARGET JAVA", file=sys.stderr)
        return 2
    record(Path(arguments[0]), arguments[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
