"""The two files of a Django project that nobody edits, as `startproject` has them in essence."""

from __future__ import annotations


def manage(settings: str) -> str:
    """Return a manage.py.

    :param settings: the module that it names.
    """
    return f"""
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""


def wsgi(settings: str) -> str:
    """Return a wsgi.py; see `manage`."""
    return f"""
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
application = get_wsgi_application()
"""
