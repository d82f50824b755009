"""Settings to develop with."""

from app.logs import logging_config

from .base import *  # noqa: F403
from .base import LOG_LEVEL, env

DEBUG = env("DEBUG", "bool", default=True)
LOGGING = logging_config(level=LOG_LEVEL or 20, as_json=False)
# The development server writes its own line for each request.
DJANGO_STRUCTLOG_STATUS_DEFAULT_LOG_LEVEL = 10
DJANGO_STRUCTLOG_STATUS_4XX_LOG_LEVEL = 10

env.check()
