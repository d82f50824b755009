"""Make the Invoke collection of a project, so that its tasks.py is a table of contents and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from invoke import Collection

from berth import arguments as arguments  # its import teaches Invoke's parser our kinds of tasks


def collection(tasks_file: str, *contents: Callable[..., Any] | ModuleType | Collection) -> Collection:
    """Return a collection of ``contents`` for the project whose tasks.py is ``tasks_file``.

    :param contents: tasks, modules of tasks, or other collections.
    :param tasks_file: `__file__` of that tasks.py; its folder is the project's root.
    """
    namespace = Collection(*contents)
    namespace.configure(
        {
            "berth": {"root": str(Path(tasks_file).resolve().parent)},
            # Invoke's own --echo writes colour codes even into a pipe.
            "run": {"echo_format": "+ {command}"} if "NO_COLOR" in os.environ else {},
        }
    )
    return namespace
