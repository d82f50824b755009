"""Objects of a kustomization, as kubectl makes them without asking any cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from berth.deploy.kubernetes.manifests import Manifests

ROOT = Path(__file__).parents[2]
OVERLAYS = ROOT / "docker" / "kubernetes" / "overlays"


def render(folder: Path) -> Manifests:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    # `create --dry-run=client` would ask a cluster which kinds there are.
    made = subprocess.run(
        ["kubectl", "annotate", "--local", "--kustomize", str(folder), "--output", "json", "rendered=yes"],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    return Manifests(made.stdout)
