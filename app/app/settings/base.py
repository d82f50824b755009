"""Settings that hold everywhere. A module that builds on them ends with `env.check()`."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from environs import ValidationError, validate

from app.environment import Environment

env = Environment()

BASE_DIR = Path(__file__).resolve().parent.parent.parent

SECRET_KEY = env.secret("SECRET_KEY")
DEBUG = False
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", default="")


def _are_origins(origins: list[str]) -> None:
    if not all(re.fullmatch(r"https?://[^/]+", origin) for origin in origins):
        raise ValidationError("each origin is `http://` or `https://` and a host name")


CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", default="", validate=_are_origins)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_structlog",
    "status",
    "users",
    "welcome",
]

MIDDLEWARE = [
    # Above the check of the Host header and the redirect to HTTPS, which probes by IP address would not pass.
    "status.middleware.ProbeMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "app.urls"
WSGI_APPLICATION = "app.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": env("DB_HOST"),
        "PORT": env("DB_PORT", "int", default=5432, validate=validate.Range(1, 65535)),
        "NAME": env("DB_NAME"),
        "USER": env("DB_USER"),
        "PASSWORD": env.secret("DB_PASSWORD"),
        "OPTIONS": {"connect_timeout": 5},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "users.CustomUser"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
# The image that is shipped holds them outside the code.
STATIC_ROOT = Path(env("STATIC_ROOT", default=BASE_DIR / "staticfiles"))

LOG_LEVEL = env("LOG_LEVEL", "log_level", default=20)
# Behind a proxy the address is what the client claims.
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = 10
# Sends the id of a request along with the tasks that it publishes.
DJANGO_STRUCTLOG_CELERY_ENABLED = True


# Celery over SQS. There is no remote control, no events and no result backend on this transport.
def _is_sqs(url: str) -> None:
    if urlsplit(url).scheme != "sqs":
        raise ValidationError("must start with `sqs://`")


def _are_queues(queues: dict[str, str]) -> None:
    for name, url in queues.items():
        if not re.fullmatch(r"[\w-]{1,80}(\.fifo)?", name) or not re.match(r"https?://[^/]+/.", url):
            raise ValidationError("each queue is `name=URL`, with commas between them")
    if CELERY_TASK_DEFAULT_QUEUE not in queues:
        raise ValidationError(f"the queue `{CELERY_TASK_DEFAULT_QUEUE}` is not in it")
    if len({urlsplit(url).scheme for url in queues.values()}) > 1:
        raise ValidationError("either all URLs are `http:` or all are `https:`")


CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_BROKER_URL = env.secret("CELERY_BROKER_URL", validate=_is_sqs)
SQS_QUEUE_URLS = env.mapping("SQS_QUEUE_URLS", validate=_are_queues)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "region": env("AWS_REGION"),
    "is_secure": not any(url.startswith("http:") for url in SQS_QUEUE_URLS.values()),
    "predefined_queues": {name: {"url": url} for name, url in SQS_QUEUE_URLS.items()},
    # The server holds an empty poll for that many seconds. ElasticMQ goes on holding the poll of a worker that
    # is gone: a message published meanwhile goes there, and is hidden for the queue's visibility timeout. So
    # the time is short.
    "wait_time_seconds": 1,
    # A pause between two polls; without any, kombu spins while every process has its task.
    "polling_interval": 0.02,
    # Who starts an export waits for this while the broker is down.
    "client-config": {"connect_timeout": 2, "read_timeout": 5, "retries": {"total_max_attempts": 2}},
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ALWAYS_EAGER = env("CELERY_TASK_ALWAYS_EAGER", "bool", default=False)
# A message leaves the queue after its task succeeded. A task that failed, or whose worker died, is
# delivered again by SQS, and moved to the dead-letter queue in the end.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_ACKS_ON_FAILURE = False
CELERY_TASK_ACKS_ON_TIMEOUT = False
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# Seconds. Both stay below the queue's visibility timeout of 900 s, after which a message is delivered again.
CELERY_TASK_SOFT_TIME_LIMIT = 570
CELERY_TASK_TIME_LIMIT = 600
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = env(
    "WORKER_SOFT_SHUTDOWN_TIMEOUT", "float", default=20.0, validate=validate.Range(min=0)
)
