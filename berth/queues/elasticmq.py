"""Write the queues as ElasticMQ reads them: https://github.com/softwaremill/elasticmq#automatically-creating-queues-on-startup."""

from __future__ import annotations

import re
from collections.abc import Iterable

from berth.errors import Refused
from berth.queues.definition import FILE, Queue

CONF = "custom.conf"
BEGIN = f"# >>> Written by `inv queue.config`, from {FILE}: change it there."
END = "# <<<"
_BLOCK = re.compile(rf"^{re.escape(BEGIN)}\n.*?^{re.escape(END)}$", re.M | re.S)


def block(queues: Iterable[Queue]) -> str:
    """Return the part of the configuration that makes the queues, with the lines around it."""
    return "\n".join([BEGIN, "queues {", *[line for queue in queues for line in _queue(queue)], "}", END])


def written(conf: str, queues: Iterable[Queue]) -> str:
    """Return the configuration with these queues, and nothing else changed.

    :raises Refused: it has not the two lines that say what is Berth's of it.
    """
    if len(_BLOCK.findall(conf)) != 1:
        raise Refused(
            f"{CONF} has not, or more than once, the lines `{BEGIN}` and `{END}`: put them around its block `queues`"
        )
    return _BLOCK.sub(lambda _: block(queues), conf)


def _queue(queue: Queue) -> list[str]:
    # A dot in a key of HOCON leads into a block.
    name = f'"{queue.name}"' if "." in queue.name else queue.name
    lines = [
        f"  {name} {{",
        f"    defaultVisibilityTimeout = {queue.visibility_timeout} seconds",
        f"    delay = {queue.delay} seconds",
        f"    receiveMessageWait = {queue.receive_wait} seconds",
    ]
    if queue.fifo:
        lines += [
            "    fifo = true",
            f"    contentBasedDeduplication = {str(queue.content_based_deduplication).lower()}",
        ]
    if queue.dead_letters:
        lines += [
            "    deadLettersQueue {",
            f'      name = "{queue.dead_letters}"',
            f"      maxReceiveCount = {queue.max_receives}",
            "    }",
        ]
    return [*lines, "  }"]
