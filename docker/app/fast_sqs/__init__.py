"""Celery on SQS at the speed of ten messages a request, with late acknowledgement and nothing lost.

A thin subclass of kombu's SQS transport; queues, credentials and all other transport options stay kombu's:

    broker_transport = "fast_sqs:Transport"    with a broker_url of sqs://; or, without the setting, register()
    with fast_sqs.batch(): ...                 several tasks published with one request for ten
    fast_sqs.worker.Window                     the worker's part, a bootstep of Celery's consumer

start-celery-worker.sh gives both parts to every worker on SQS, by berth_worker.py.
"""

from kombu.transport import TRANSPORT_ALIASES

from fast_sqs.publish import batch
from fast_sqs.transport import Transport

__all__ = ["Transport", "batch", "register"]


def register() -> None:
    """Let `sqs://` mean this transport, for all connections that this process makes from now on."""
    TRANSPORT_ALIASES["sqs"] = "fast_sqs:Transport"
