"""List what an image is made of, as CycloneDX (ECMA-424), from the lock that it was built from, or from what is in it.

cyclonedx-py, of the standard's own project, writes it: versions, package URLs and the hashes of the lock. uv runs it in
an environment of its own, as nothing of Berth needs it.
"""

from __future__ import annotations

import sys
from pathlib import Path

Argv = list[str]

TOOL = "cyclonedx-bom==7.5.0"
FOLDER = "releases"


def file_name(repository: str, name: str) -> str:
    """Return the name of the file for a release."""
    return f"{repository.rpartition('/')[2]}-{name}.cdx.json"


INSTALLED = (
    "import importlib.metadata, re; "
    "found = {(re.sub('[-_.]+', '-', one.name).lower(), one.version) for one in importlib.metadata.distributions()}; "
    "print(*(f'{name}=={version}' for name, version in sorted(found)), sep=chr(10))"
)


def installed() -> Argv:
    """Print the packages that are installed, as requirements, where a project's own lock is of its own tool."""
    return ["python", "-c", INSTALLED]


def line(lock: Path, output: Path) -> Argv:
    """Write the list of the packages of a lock, or of other requirements, the same each time."""
    options = ["--output-reproducible", "--output-format", "JSON", "--output-file", str(output)]
    tool = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from", TOOL, "cyclonedx-py"]
    return [*tool, "requirements", *options, str(lock)]
