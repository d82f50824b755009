"""Send traces and metrics by OpenTelemetry, where a variable says whereto; otherwise nothing of it is imported.

What is sent, and how, is a matter of its distribution, of its instrumentations of Django, psycopg2 and Celery, and of
the standard variables: https://opentelemetry.io/docs/languages/sdk-configuration/. This starts them in each process
that serves or works, behind the fork, as they start threads, which a fork loses:
https://opentelemetry.io/docs/zero-code/python/troubleshooting/#pre-fork-server-issues

OTEL_EXPORTER_OTLP_ENDPOINT    URL of the collector; that of one signal does, too (..._TRACES_ENDPOINT)
OTEL_EXPORTER_OTLP_PROTOCOL    http/protobuf, unless it says otherwise
OTEL_SDK_DISABLED              true: nothing is started
OTEL_SERVICE_NAME              app, worker or beat, after what the process is
"""

import importlib.util
import os
import socket
import sys

ENDPOINTS = tuple(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT" for signal in ("", "TRACES_", "METRICS_"))
DEFAULTS = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    # Lines are for the log.
    "OTEL_LOGS_EXPORTER": "none",
    # The id that the lines of the request have, too; that of a proxy, or the server's.
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "X-Request-ID",
}
MISSING = (
    "OpenTelemetry is asked for by a variable, OTEL_EXPORTER_OTLP_..., but not installed, so that nothing is sent: "
    "add opentelemetry-distro and its like to the lock, as `-r telemetry.in` in requirements/prod.in does, and build"
)


def is_wanted() -> bool:
    """Tell whether the variables ask for it."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not disabled and any(os.environ.get(name) for name in ENDPOINTS)


def is_installed() -> bool:
    """Tell whether the distribution is there; only its outermost package is imported."""
    try:
        return importlib.util.find_spec("opentelemetry.distro") is not None
    except ModuleNotFoundError:
        return False


def complain() -> None:
    """Say in one line what is missing, once, in the process that starts the others."""
    if is_wanted() and not is_installed():
        print(MISSING, file=sys.stderr, flush=True)


def start(service: str) -> None:
    """Start sending from this process, where it is wanted and installed.

    :param service: name of the service, unless OTEL_SERVICE_NAME has another.
    """
    if not (is_wanted() and is_installed()):
        return
    for name, value in {**DEFAULTS, "OTEL_SERVICE_NAME": service}.items():
        # Compose passes on what is empty, too.
        os.environ[name] = os.environ.get(name) or value
    attributes = os.environ.get("OTEL_RESOURCE_ATTRIBUTES") or ""
    if "service.instance.id=" not in attributes:
        # The sums of two processes would be taken for those of one.
        own = f"service.instance.id={socket.gethostname()}-{os.getpid()}"
        os.environ["OTEL_RESOURCE_ATTRIBUTES"] = f"{attributes},{own}".lstrip(",")
    from opentelemetry.instrumentation.auto_instrumentation import initialize

    initialize()


def flush() -> None:
    """Send what is left, before a process ends that runs no code at its end."""
    if "opentelemetry.sdk.trace" in sys.modules:
        from opentelemetry import metrics, trace

        for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
            if hasattr(provider, "force_flush"):
                provider.force_flush(2000)
