"""Settings to run `manage.py collectstatic` with while an image is built, without any environment.

Of the project's own code they need the package `app` and the `static` folders of its applications, nothing
else, so that a build can copy just those and keep the collected files in its cache while other code changes.

They cannot serve: no host is allowed, there is no database, and each process has another secret key.
"""

from django.core.management.utils import get_random_secret_key

from .base import *  # noqa: F403
from .base import BASE_DIR, INSTALLED_APPS, WHITENOISE_STORAGES

SECRET_KEY = get_random_secret_key()
ALLOWED_HOSTS = []
DATABASES = {}
AUTH_USER_MODEL = "auth.User"

STATICFILES_DIRS = sorted(BASE_DIR.glob("*/static"))
INSTALLED_APPS = [name for name in INSTALLED_APPS if name.startswith("django")]
STORAGES = WHITENOISE_STORAGES
