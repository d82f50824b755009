"""Look after the queues of a Celery project on an SQS server: ElasticMQ, moto or Amazon's.

Nothing of the project is imported, nor Django. boto3 comes with `celery[sqs]`, and is imported late: without it there
is still a page, which says so. `queues.sh --help` lists what it does.
"""
