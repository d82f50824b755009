"""Run the project's own ``collectstatic`` while the image that is shipped is built.

With the project's settings, for only they know its finders and its storage. Whether there is anything to collect into
is asked first: a project without ``django.contrib.staticfiles``, without STATIC_ROOT, or with a storage elsewhere, such
as a bucket, has nothing that belongs into an image.

A code edit runs this again, and compressing takes seconds: so a result is kept, and used for the same files, settings
and packages.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

# Where the Dockerfile takes the collected files from.
SHIPPED = ("/home/web/code", "/home/web/static")
# A cache mount of the build, which all projects share.
RESULTS = Path("/var/cache/static")
KEPT = 10
LOCK = Path("/prod.txt")


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


def collect(into: Path) -> None:
    """Run ``collectstatic``, as the settings are now."""
    from django.core.management import call_command

    # Verbosity 0: the same name in two packages is no news to whoever builds the image.
    call_command("collectstatic", interactive=False, verbosity=0)
    into.mkdir(parents=True, exist_ok=True)


def key() -> str:
    """Return what the result depends on: the files that finders find, all settings, the packages, and the storage."""
    from django.conf import settings
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.test.utils import override_settings

    found = {name: getattr(settings, name) for name in sorted(dir(settings)) if name.isupper()}
    # Of what is no plain value, such as a function in LOGGING, the name: another text at each start would never do.
    text = json.dumps(
        found, default=lambda value: str(value) if isinstance(value, Path) else type(value).__name__, skipkeys=True
    )
    digest = hashlib.sha256(text.encode())
    modules = [sys.modules[base.__module__] for base in staticfiles_storage.__class__.__mro__]
    sources = {module.__file__ for module in modules if getattr(module, "__file__", None)}
    with tempfile.TemporaryDirectory() as folder:
        plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
        with override_settings(STATIC_ROOT=folder, STORAGES={**settings.STORAGES, "staticfiles": plain}):
            collect(Path(folder))
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        for path in sorted([LOCK, *map(Path, sources), *files]):
            digest.update(f"{os.path.relpath(path, folder)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()


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
    kept = RESULTS / key()
    if kept.is_dir():
        shutil.copytree(kept, root, dirs_exist_ok=True)
        kept.touch()
        return
    collect(root)
    # Under its name once it is whole; a build that was cut off leaves the other one.
    new = RESULTS / "new"
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(root, new)
    new.rename(kept)
    for old in sorted(RESULTS.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old)


if __name__ == "__main__":
    main()
