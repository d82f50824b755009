"""Run the project's own ``collectstatic`` while the image that is shipped is built.

With the project's settings, for only they know its finders and its storage. Whether there is anything to collect into
is asked first: a project without ``django.contrib.staticfiles``, without STATIC_ROOT, or with a storage elsewhere, such
as a bucket, has nothing that belongs into an image.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

# Where the Dockerfile takes the collected files from.
SHIPPED = ("/home/web/code", "/home/web/static")


def fail(*lines: str) -> NoReturn:
    """End the build with a message."""
    sys.exit("\n".join(f"collect_static.py: {line}" for line in lines))


def set_up() -> None:
    """Load the project's settings."""
    import django

    module = os.environ["DJANGO_SETTINGS_MODULE"]
    try:
        django.setup()
    except (Exception, SystemExit) as error:
        fail(
            f"the settings `{module}` could not be loaded ({type(error).__name__}: {error})",
            "is that not their module? Set PROD_SETTINGS_MODULE in .env",
            "do they need another variable? Give it a placeholder where docker/app/Dockerfile runs this script",
        )


def local_root() -> Path | None:
    """Return the folder that files are collected into; None, saying why, when there is none."""
    from django.apps import apps
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.files.storage import FileSystemStorage

    if not apps.is_installed("django.contrib.staticfiles"):
        print("No static files: `django.contrib.staticfiles` is not installed.")
    elif not isinstance(staticfiles_storage, FileSystemStorage):
        print("No static files: their storage is elsewhere, and `collectstatic` is for the release to run.")
    elif not staticfiles_storage.base_location:
        print("No static files: STATIC_ROOT is not set.")
    else:
        return Path(staticfiles_storage.location)
    return None


def main() -> None:
    # As `manage.py` does, which need not have that name, nor be at hand.
    sys.path.insert(0, os.getcwd())
    set_up()
    root = local_root()
    if root is None:
        return
    if not any(root.is_relative_to(folder) for folder in SHIPPED):
        fail(
            f"STATIC_ROOT is `{root}`, which is not in the image: "
            "read it from the variable STATIC_ROOT, or set a folder of the project"
        )
    from django.core.management import call_command

    # Verbosity 0: the same name in two packages is no news to whoever builds the image.
    call_command("collectstatic", interactive=False, verbosity=0)


if __name__ == "__main__":
    main()
