"""Settings to run `manage.py collectstatic` with while an image is built, without any environment.

They cannot serve: no host is allowed, there is no database, and the secret key is another one in each
process.
"""

from django.core.management.utils import get_random_secret_key

from .base import *  # noqa: F403

SECRET_KEY = get_random_secret_key()
ALLOWED_HOSTS = []
DATABASES = {}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
