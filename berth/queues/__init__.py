"""What queues a project defines, what ElasticMQ reads of that, and how a server differs from it."""
