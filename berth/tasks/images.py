"""Look after the images that others are built on."""

from __future__ import annotations

from invoke import Context, task

from berth import engines


@task
def base(c: Context) -> None:
    """Build the base images from packages, where no registry can be reached, and name them in .env."""
    engines.base_images(c)
