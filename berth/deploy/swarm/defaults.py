"""What a service of the stack gets where the compose files say nothing else."""

from __future__ import annotations

from typing import Any

UPDATE: dict[str, Any] = {
    "order": "start-first",
    "parallelism": 1,
    # Seconds for which a new replica has to stay healthy before the next one's turn.
    "monitor": "5s",
    "failure_action": "rollback",
}
"""How a new version replaces the old one: a new replica first, and an old one only goes when that is healthy."""

ROLLBACK: dict[str, Any] = {"order": "start-first", "parallelism": 1, "monitor": "5s", "failure_action": "pause"}
RESTART: dict[str, Any] = {"condition": "any", "delay": "2s"}
JOB_RESTART: dict[str, Any] = {"condition": "none"}


def deploy(said: dict[str, Any], *, alone: bool) -> dict[str, Any]:
    """Return how Swarm is to run a service.

    :param said: what the compose files say below `deploy`.
    :param alone: two replicas of it cannot run beside each other on one node: it publishes a port of the node, or has a
        volume. The old one then stops first.
    """
    order = {"order": "stop-first"} if alone else {}
    return {
        # Names lead to the replicas themselves: no IPVS is needed, and clients see which of them are there.
        "endpoint_mode": "dnsrr",
        **said,
        "update_config": {**UPDATE, **order, **(said.get("update_config") or {})},
        "rollback_config": {**ROLLBACK, **order, **(said.get("rollback_config") or {})},
        "restart_policy": {**RESTART, **(said.get("restart_policy") or {})},
    }
