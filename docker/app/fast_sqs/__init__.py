"""Celery on SQS at the speed of ten messages a request, with late acknowledgement and nothing lost.

A thin subclass of kombu's SQS transport; queues, credentials and all other transport options stay kombu's:

    broker_transport = "fast_sqs:Transport"    with a broker_url of sqs://
    with fast_sqs.batch(): ...                 several tasks published with one request for ten
    fast_sqs.worker.Window                     the worker's part, a bootstep of Celery's consumer

start-celery-worker.sh gives both parts to every worker on SQS, by berth_worker.py.
"""

from fast_sqs.publish import MessageTooBig, batch
from fast_sqs.transport import Transport

__all__ = ["MessageTooBig", "Transport", "batch"]
