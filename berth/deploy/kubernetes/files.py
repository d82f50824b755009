"""Write the kustomization of a release, which holds secrets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path


def replace(folder: Path, files: Mapping[str, str]) -> None:
    """Make ``folder`` hold these files and no others, byte by byte, readable by their owner only.

    :param files: contents, by paths below the folder.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(content)
