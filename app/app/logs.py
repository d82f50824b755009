"""What the loggers write: JSON in production, lines to read in development, on stdout."""

import logging
import sys
from typing import Any

import structlog

# Asked for every few seconds, by probes and by the script of the welcome page.
PROBES = ("/status/", "/status/ready/", "/state.json")


def is_no_probe(record: logging.LogRecord) -> bool:
    """Keep the lines of the development server about anything but probes."""
    request_line = record.args[0] if isinstance(record.args, tuple) and record.args else ""
    return not any(f" {path} " in str(request_line) for path in PROBES)


def logging_config(*, level: int, as_json: bool) -> dict[str, Any]:
    """Configure structlog, and give the `LOGGING` that sends every other logger through it.

    :param level: of the root logger, a number of `logging`.
    :param as_json: one JSON object a line; else text.
    """
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    if as_json:
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        renderers = [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), pad_event_to=0)]
    to_root = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"is_no_probe": {"()": lambda: is_no_probe}},
        "formatters": {
            "structlog": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
            },
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "structlog",
            },
        },
        "root": {"handlers": ["stdout"], "level": level},
        "loggers": {
            "django": {**to_root, "level": "INFO"},
            "django.server": {**to_root, "filters": ["is_no_probe"]},
            # The request middleware of django-structlog logs what failed, with the id of the request.
            "django.request": {**to_root, "level": "CRITICAL"},
            "gunicorn.error": {**to_root, "level": level},
            # The same middleware writes one line a request, and none for a probe.
            "gunicorn.access": {**to_root, "level": "WARNING"},
            # django-structlog logs the start and the end of a task, with the id of the request behind it.
            "celery.worker.strategy": {**to_root, "level": "WARNING"},
            "celery.app.trace": {**to_root, "level": "CRITICAL"},
            "botocore": {**to_root, "level": "WARNING"},
        },
    }
