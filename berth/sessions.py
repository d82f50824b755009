"""Sessions of nox that test a Django project. To import this module from a noxfile.py is to have them.

    from berth.sessions import migrations, test_in_container

A lock `dev-NAME.txt` in requirements/ is one more set of packages to try the project on.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path

import nox
from invoke import Context

from berth.engines.docker import client
from berth.project import Project

REQUIRE_ENGINE = "BERTH_REQUIRE_ENGINE"
"""The variable that, being 1, lets a test that needs an engine fail without one."""
# Clean-up of a stack takes a while; nox would kill it after a fraction of a second.
CLEAN_UP_SECONDS = 120.0


def images(requirements: Path) -> list[str]:
    """Return the images to test in: for development, the shipped one, and one for each lock `dev-NAME.txt`.

    :param requirements: the folder of the locks.
    """
    return ["dev", "test", *sorted(lock.stem for lock in requirements.glob("dev-*.txt"))]


@nox.session(name="test-in-container", venv_backend="none")
@nox.parametrize("image", images(Path("requirements")))
def test_in_container(session: nox.Session, image: str) -> None:
    """Test the Django project inside an image, in a stack of its own."""
    if os.environ.get(REQUIRE_ENGINE) != "1" and (complaint := _no_engine()):
        session.skip(complaint)
    line = (sys.executable, "-m", "invoke", "test-in-container", f"--image={image}", "--", *session.posargs)
    session.run(*line, external=True, interrupt_timeout=CLEAN_UP_SECONDS, terminate_timeout=CLEAN_UP_SECONDS)


@nox.session(name="migrations", venv_backend="none", default=False)
def migrations(session: nox.Session) -> None:
    """Check the migrations, and try them forward and back on a copy of a snapshot: `nox -s migrations -- NAME`."""
    for words in (["db.check-migrations"], ["db.try-migrations", *session.posargs]):
        session.run(sys.executable, "-m", "invoke", *words, external=True, interrupt_timeout=CLEAN_UP_SECONDS)


def _no_engine() -> str | None:
    """Return why no engine answers, None: one does. The client alone may be installed without one."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    # nox shows whatever a library logs.
    logging.getLogger("invoke").setLevel(logging.WARNING)
    return client.short_complaint(Context(), Project(Path.cwd()))
