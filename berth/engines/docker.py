"""Run the services in containers: every line is one of `docker compose`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from invoke import Context, Exit

from berth import compose, engine, env, process, project, services, testing
from berth.engines import ready
from berth.engines.failure import failure


def up(c: Context, names: Sequence[str], *, build: bool, attach: bool) -> None:
    ready.tools(c)
    here = ready.environment(c, create=True)
    stack = ready.stack(c, names)
    _up(c, stack, names, build=build)
    if c.config.run.dry:
        return
    print(services.table(stack, ready.containers(c)))
    if attach:
        try:
            follow = process.run(c, compose.logs(names, follow=True), cwd=here.root, check=False)
        finally:
            process.run(c, compose.stop(names), cwd=here.root)
        # Leaving by Ctrl-C is how one leaves, as with `docker compose up`.
        raise Exit(code=0 if follow == process.INTERRUPTED else follow)


def build(c: Context, names: Sequence[str], *, prod: bool, no_cache: bool, pull: bool) -> None:
    ready.tools(c)
    here = ready.environment(c, create=True)
    stack = ready.stack(c, names)
    line = compose.build(names, no_cache=no_cache, pull=pull)
    env = {"BUILD_TARGET": "prod"} if prod else {}
    code = process.run(c, line, cwd=here.root, env=env, check=False)
    if code != 0:
        raise failure(c, stack, code)


def logs(c: Context, names: Sequence[str], *, follow: bool, tail: str | None) -> None:
    here = ready.environment(c)
    ready.engine(c)
    ready.services_named(c, here, names)
    process.run(c, compose.logs(names, follow=follow, tail=tail), cwd=here.root)


def ps(c: Context, names: Sequence[str]) -> None:
    here = ready.environment(c)
    ready.engine(c)
    ready.services_named(c, here, names)
    process.run(c, compose.ps(names), cwd=here.root)


def config(c: Context) -> None:
    here = ready.environment(c, create=True)
    process.run(c, compose.config(), cwd=here.root)


def exec_(c: Context, service: str, command: Sequence[str], *, user: str | None) -> None:
    here = ready.environment(c)
    ready.engine(c)
    ready.services_named(c, here, [service])
    ready.run_in(c, service, command, user=user)


def shell(c: Context, service: str | None) -> None:
    ready.environment(c)
    ready.engine(c)
    stack = ready.stack(c, [service] if service else [])
    # sh where the image holds no bash.
    command = ["sh", "-c", "exec $(command -v bash || command -v sh)"]
    ready.run_in(c, service or ready.role(stack, "app"), command)


def stop(c: Context, names: Sequence[str], *, yes: bool) -> None:
    here = ready.environment(c)
    ready.engine(c)
    ready.services_named(c, here, names)
    process.run(c, compose.stop(names), cwd=here.root)


def restart(c: Context, names: Sequence[str], *, yes: bool) -> None:
    here = ready.environment(c)
    ready.engine(c)
    ready.services_named(c, here, names)
    process.run(c, compose.restart(names), cwd=here.root)


def down(c: Context, *, yes: bool) -> None:
    here = ready.environment(c)
    ready.engine(c)
    process.run(c, compose.down(), cwd=here.root)


def manage(c: Context, command: Sequence[str]) -> None:
    here = ready.environment(c)
    ready.engine(c)
    stack = ready.stack(c)
    service = ready.role(stack, "app")
    words = ["python", "manage.py", *command]
    user = project.caller()
    if any(container.service == service and container.state == "running" for container in ready.containers(c)):
        ready.run_in(c, service, words, user=user)
        return
    # Only what a command may need of the stack: the other dependencies would apply migrations, `migrate --plan`'s too.
    _up(c, stack, [ready.role(stack, "database")])
    line = compose.run(service, words, terminal=process.is_terminal(), user=user, dependencies=False)
    process.run(c, line, cwd=here.root)


def reset_db(c: Context, *, yes: bool) -> None:
    here = ready.environment(c)
    ready.engine(c)
    stack = ready.stack(c)
    database = ready.role(stack, "database")
    if not yes and not c.config.run.dry:
        ready.consent(stack, database, here)
    _up(c, stack, [database])
    process.run(c, compose.stop(stack.dependents(database)), cwd=here.root)
    process.run(c, compose.exec_(database, ["reset-db.sh"], terminal=False), cwd=here.root)
    _up(c, stack, [])


def _up(c: Context, stack: services.Stack, names: Sequence[str], *, build: bool = False) -> None:
    code = process.run(c, compose.up(names, build=build), cwd=project.of(c).root, check=False)
    if code != 0:
        raise failure(c, stack, code)


def test(c: Context, command: Sequence[str]) -> None:
    test_in_container(c, command, image="dev")


def test_in_container(c: Context, command: Sequence[str], *, image: str) -> None:
    """Test in a stack of its own, which is removed afterwards.

    :raises Exit: there is no such image, or a step failed.
    """
    try:
        testing.stage(image)
    except ValueError as error:
        raise Exit(str(error)) from None
    ready.tools(c)
    here = ready.environment(c, create=True)
    resolved = ready.stack(c)
    if not c.config.run.dry:
        here.reports.mkdir(exist_ok=True)
    env = testing.environment(
        ready.compose_files(here), project_name=resolved.project_name, image=image, run=str(os.getpid())
    )
    app = ready.role(resolved, "app")
    process.run(c, compose.build([app]), cwd=here.root, env=env)
    try:
        code = process.run(c, compose.up(), cwd=here.root, env=env, check=False)
        if code != 0:
            raise failure(c, resolved, code, env=env)
        line = compose.run(
            testing.SERVICE,
            testing.pytest(image, command),
            terminal=process.is_terminal(),
            user=project.caller(),
            volumes=[f"{here.reports}:/reports"],
            dependencies=False,
        )
        process.run(c, line, cwd=here.root, env=env)
    finally:
        process.run(c, compose.down(volumes=True), cwd=here.root, env=env, check=False)


def base_images(c: Context) -> None:
    """Build the base images from packages, and name them in .env.

    :raises Exit: the recipes have faults, or a build failed.
    """
    from berth import base_images as recipes_of  # not at every start of `inv`

    ready.tools(c)
    here = ready.environment(c, create=True)
    try:
        recipes = recipes_of.read_recipes(here.base_images)
    except ValueError as error:
        raise Exit(str(error)) from None
    present = process.capture(c, engine.images(), cwd=here.root).stdout.split()
    for line in recipes_of.build_lines(recipes, here.base_images, present):
        process.run(c, line, cwd=here.root)
    if c.config.run.dry:
        return
    values = recipes_of.variables(recipes)
    before = env.read_text(here.env_file)
    after = env.with_values(before, values)
    if after != before:
        env.replace(here.env_file, after)
        names = ", ".join(f"{name}={value}" for name, value in values.items())
        print(f"wrote {names} into .env", file=sys.stderr)
