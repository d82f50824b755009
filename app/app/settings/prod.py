"""Settings to serve with: everything that is not safe is refused at the start."""

from django.core.checks.security.base import (
    SECRET_KEY_INSECURE_PREFIX,
    SECRET_KEY_MIN_LENGTH,
    SECRET_KEY_MIN_UNIQUE_CHARACTERS,
)
from environs import validate

from app.logs import logging_config

from .base import *  # noqa: F403
from .base import ALLOWED_HOSTS, DATABASES, LOG_LEVEL, MIDDLEWARE, SECRET_KEY, env

if env("DEBUG", "bool", default=False):
    env.problems.append("DEBUG is on, which app.settings.prod refuses: unset it")
if SECRET_KEY and (
    len(SECRET_KEY) < SECRET_KEY_MIN_LENGTH
    or len(set(SECRET_KEY)) < SECRET_KEY_MIN_UNIQUE_CHARACTERS
    or SECRET_KEY.startswith(SECRET_KEY_INSECURE_PREFIX)
):
    env.problems.append(
        f"SECRET_KEY is too weak: it needs {SECRET_KEY_MIN_LENGTH} characters, "
        f"{SECRET_KEY_MIN_UNIQUE_CHARACTERS} of them different, "
        f"and must not start with `{SECRET_KEY_INSECURE_PREFIX}`"
    )
if not ALLOWED_HOSTS:
    env.problems.append("ALLOWED_HOSTS is not set: list the host names to serve, `example.org,www.example.org`")
elif "*" in ALLOWED_HOSTS:
    env.problems.append("ALLOWED_HOSTS holds `*`, which lets any Host header in: list the host names to serve")

LOGGING = logging_config(level=LOG_LEVEL or 20, as_json=True)
# The server writes a line for each request, with the id that it gives to it; two lines cost a fifth of what is served.
# LOG_LEVEL=DEBUG brings these back. What failed is logged here, with its traceback and that id.
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True
DJANGO_STRUCTLOG_STATUS_DEFAULT_LOG_LEVEL = 10
DJANGO_STRUCTLOG_STATUS_4XX_LOG_LEVEL = 10

DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}

SECURE_SSL_REDIRECT = env("SECURE_SSL_REDIRECT", "bool", default=True)
# An hour: long enough to see what breaks, short enough to take it back. Raise it to a year (31536000) after
# that.
SECURE_HSTS_SECONDS = env("SECURE_HSTS_SECONDS", "int", default=3600, validate=validate.Range(min=0))
# These two bind every subdomain, and are hard to take back: whoever owns the domain decides.
# https://docs.djangoproject.com/en/5.2/ref/middleware/#http-strict-transport-security
SECURE_HSTS_INCLUDE_SUBDOMAINS = env("SECURE_HSTS_INCLUDE_SUBDOMAINS", "bool", default=False)
SECURE_HSTS_PRELOAD = env("SECURE_HSTS_PRELOAD", "bool", default=False)
# `check --deploy` is to be clean, so that what it says is read: it need not ask for these two, as said above.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SESSION_COOKIE_SECURE = env("SESSION_COOKIE_SECURE", "bool", default=True)
CSRF_COOKIE_SECURE = env("CSRF_COOKIE_SECURE", "bool", default=True)
# A client could set the header itself, unless a proxy in front always overwrites it.
if env("USE_X_FORWARDED_PROTO", "bool", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# The browser runs and shows what comes from this site only; the admin needs no more. From Django 6.0 on it is built in:
# https://docs.djangoproject.com/en/6.0/ref/csp/
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    },
}

SECURITY = MIDDLEWARE.index("django.middleware.security.SecurityMiddleware")
MIDDLEWARE[SECURITY + 1 : SECURITY + 1] = [
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
]
# The image holds the files collected for this storage.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

env.check()
