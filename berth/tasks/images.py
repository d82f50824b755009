"""Look after the images that others are built on."""

from __future__ import annotations

import sys

from invoke import Context, task

from berth import engines, process
from berth.arguments import NamesTask


@task(
    klass=NamesTask, iterable=["name"], help={"name": "One of another version, as RECIPE:VERSION; .env stays as it is."}
)
def base(c: Context, name: list[str]) -> None:
    """Build the base images from packages, where no registry can be reached, and name them in .env."""
    from berth import env  # not at every start of `inv`
    from berth.base_images import builder
    from berth.engines.docker import lines

    here = engines.docker_engine(c).here
    if name:
        for words in name:
            process.run(c, builder.build_line(words), cwd=here.root)
        return
    named = {one.name: one.default for one in env.parse_template(env.read_text(here.env_template)).values()}
    recipes = builder.used(builder.read_recipes(builder.RECIPES), named)
    present = process.capture(c, lines.images(), cwd=here.root).stdout.split()
    for line in builder.build_lines(recipes, present):
        process.run(c, line, cwd=here.root)
    if c.config.run.dry:
        return
    values = builder.variables(recipes)
    before = env.read_text(here.env_file)
    after = env.with_values(before, values)
    if after != before:
        env.replace(here.env_file, after)
        names = ", ".join(f"{name}={value}" for name, value in values.items())
        print(f"wrote {names} into .env", file=sys.stderr)
