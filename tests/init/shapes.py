"""Small projects of our own, in the shapes that public ones have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from tests.django_files import manage, wsgi

MANAGE = manage("shop.settings")
WSGI = wsgi("shop.settings")
HEAD = """
import os
from pathlib import Path

BASE_DIR = Path(__file__).parent
SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = True
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
STATIC_URL = "static/"
"""
URLS = """
from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
"""
SQLITE = 'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}\n'
URL = 'import dj_database_url\n\nDATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}\n'
SEPARATE = """
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PG_NAME"], "USER": os.environ["PG_USER"],
    "PASSWORD": os.environ["PG_PASS"], "HOST": os.environ.get("PG_HOST", "localhost"), "PORT": "5432",
}}
"""
SWITCH = """
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
if os.environ.get("DB_KIND") == "postgres":
    DATABASES = {"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PG_NAME"], "USER": os.environ["PG_USER"],
        "PASSWORD": os.environ["PG_PASS"], "HOST": os.environ["PG_HOST"],
    }}
"""
MYSQL = """
DATABASES = {"default": {
    "ENGINE": "django.db.backends.mysql", "NAME": "shop", "USER": "shop", "PASSWORD": "x", "HOST": "db",
}}
"""
CELERY = """
import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
"""
REQUIREMENTS = {"requirements.txt": "django==5.2.8\npsycopg[binary]==3.2.12\ndj-database-url==3.0.1\n"}


def project(database: str = URL, *, folder: str = "", more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the files of a project.

    :param database: the end of its settings.
    :param folder: of manage.py, with a slash at its end.
    """
    files = {"manage.py": MANAGE, "shop/__init__.py": "", "shop/wsgi.py": WSGI, "shop/urls.py": URLS,
             "shop/settings.py": HEAD + database}  # fmt: skip
    return {**{folder + name: text for name, text in files.items()}, ".gitignore": ".env\n", **(more or {})}


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder, and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return root
