"""Run Django's ``collectstatic`` while the production image is built.

``collect_static.py SOURCE TARGET`` collects SOURCE and the ``static`` folder of every installed package into TARGET,
hashed and compressed for WhiteNoise. It reads no settings of the project: these would want secrets, and would make
every code edit collect again. What SOURCE holds wins over a package's file of the same name.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command

PATTERNS = ("*/static", "*/*/static", "*/*/*/static")


def package_folders(site_packages: Path) -> list[Path]:
    """Return the folders of static files of installed packages, in a stable order; not Python's of that name."""
    folders = sorted(folder for pattern in PATTERNS for folder in site_packages.glob(pattern))
    return [folder for folder in folders if folder.is_dir() and not (folder / "__init__.py").exists()]


def main(source: str, target: str) -> None:
    folders = package_folders(Path(sysconfig.get_path("purelib")))
    settings.configure(
        INSTALLED_APPS=["django.contrib.staticfiles"],
        STATICFILES_DIRS=[*filter(Path.is_dir, [Path(source)]), *folders],
        STATIC_ROOT=target,
        STATIC_URL="static/",
        WHITENOISE_KEEP_ONLY_HASHED_FILES=True,
        STORAGES={"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}},
    )
    django.setup()
    # Verbosity 0: the same name in two packages is no news to whoever builds the image.
    call_command("collectstatic", interactive=False, verbosity=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
