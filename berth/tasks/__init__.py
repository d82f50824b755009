"""The Invoke shelf: every verb, written once on top of the engines' primitives. This file is its table of contents."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from invoke import Collection

from berth import plain_invoke
from berth.tasks import checks, db, deploy, django, env, images, init, inspect, prod, queue, release, stack

CONTENTS = (
    stack.up,
    stack.build,
    stack.logs,
    stack.ps,
    stack.exec_,
    stack.exec_as_host,
    stack.shell,
    stack.stop,
    stack.restart,
    stack.down,
    stack.config,
    django.manage,
    db.reset_db,
    db,
    queue,
    checks.test,
    checks.test_in_container,
    checks.check,
    deploy,
    env,
    images,
    inspect.inspect,
    init.init,
    init.upgrade,
    release.release,
    prod,
)


def collection(tasks_file: str, *own: Callable[..., Any] | ModuleType | Collection) -> Collection:
    """Return Berth's tasks for the project whose tasks.py is ``tasks_file``.

    :param tasks_file: `__file__` of that tasks.py; its folder is the project's root.
    :param own: the project's own tasks, modules of tasks, or collections.
    """
    plain_invoke.install()
    namespace = Collection(*CONTENTS, *own)
    namespace.configure(
        {
            "berth": {"root": str(Path(tasks_file).resolve().parent)},
            # Invoke's own --echo writes colour codes even into a pipe.
            "run": {"echo_format": "+ {command}"} if "NO_COLOR" in os.environ else {},
        }
    )
    return namespace


def outside() -> Collection:
    """Return the tasks for places that have no tasks.py yet."""
    return Collection(inspect.inspect, init.init, init.upgrade)
