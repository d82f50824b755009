"""Look after the images that others are built on."""

from __future__ import annotations

import sys

from invoke import Context, Exit, task

from berth import engine, env, process
from berth.tasks import ready


@task
def base(c: Context) -> None:
    """Build the base images from packages, where no registry can be reached, and name them in .env."""
    from berth import base_images  # not at every start of `inv`

    ready.tools(c)
    here = ready.environment(c, create=True)
    try:
        recipes = base_images.read_recipes(here.base_images)
    except ValueError as error:
        raise Exit(str(error)) from None
    present = process.capture(c, engine.images(), cwd=here.root).stdout.split()
    for line in base_images.build_lines(recipes, here.base_images, present):
        process.run(c, line, cwd=here.root)
    if c.config.run.dry:
        return
    values = base_images.variables(recipes)
    before = env.read_text(here.env_file)
    after = env.with_values(before, values)
    if after != before:
        env.replace(here.env_file, after)
        names = ", ".join(f"{name}={value}" for name, value in values.items())
        print(f"wrote {names} into .env", file=sys.stderr)
