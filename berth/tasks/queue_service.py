"""What the tasks of the queues share: where they run, and the lines of the script there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from berth.engines import Engine

if TYPE_CHECKING:
    from berth.queues.definition import Queue

SCRIPT = "queues.sh"


def running(engine: Engine) -> str:
    """Return the service that has the script, which is started where it does not run."""
    found = engine.stack().with_role("queues")
    if not any(one.service == found and one.state == "running" for one in engine.containers()):
        engine.up([found])
    return found


def creation(queue: Queue) -> list[str]:
    """Return the line that makes a queue."""
    policy = (
        ["--dead-letters", queue.dead_letters, "--max-receives", str(queue.max_receives)] if queue.dead_letters else []
    )
    return [SCRIPT, "create", *policy, "--", queue.name, json.dumps(queue.attributes())]
