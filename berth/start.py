"""Start Invoke as `python -m invoke` does, in half the time. The launcher `inv` runs this file.

More than half of Invoke's start is `unittest.mock`, which brings asyncio, for a class that only tests use,
`importlib.metadata`, which brings email, for its own version, and YAML, for files that a project need not have. While
Invoke is imported they are stand-ins that do the same; whoever imports these modules afterwards gets the real ones.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from types import ModuleType
from typing import Any


def version(name: str) -> str:
    """Return the version of an installed distribution, by the name of its folder, as installers write it."""
    for folder in filter(os.path.isdir, sys.path):
        for entry in os.listdir(folder):
            if entry.startswith(f"{name}-") and entry.endswith(".dist-info"):
                return entry[len(name) + 1 : -len(".dist-info")]
    raise ImportError(f"{name} is not installed")


def mock(*arguments: Any, **options: Any) -> Any:
    """Return a real `unittest.mock.Mock`."""
    from unittest.mock import Mock

    return Mock(*arguments, **options)


def stand_in(name: str, **contents: object) -> ModuleType:
    """Return a module of that name with nothing but ``contents``."""
    module = ModuleType(name)
    vars(module).update(contents)
    return module


def yaml(name: str) -> Any:
    """Return what is called ``name`` in Invoke's copy of PyYAML."""
    return getattr(importlib.import_module("invoke.vendor.yaml"), name)


def import_invoke() -> None:
    """Import Invoke with the stand-ins; where it needs more of them, it is left to be imported as usual."""
    modules = (
        stand_in("unittest.mock", Mock=mock),
        stand_in("importlib.metadata", version=version),
        stand_in("invoke.vendor.yaml", __getattr__=yaml),
    )
    sys.modules.update((module.__name__, module) for module in modules)
    # The collector would look for garbage among modules, which stay to the end.
    gc.disable()
    try:
        with contextlib.suppress(ImportError, AttributeError):
            importlib.import_module("invoke")
            return
        for name in [name for name in sys.modules if name.partition(".")[0] == "invoke"]:
            del sys.modules[name]
    finally:
        gc.enable()
        gc.freeze()
        for module in modules:
            sys.modules.pop(module.__name__, None)


if __name__ == "__main__":
    # As with `-m`: the folder of this file holds no top-level modules.
    sys.path[0] = os.getcwd()
    import_invoke()
    import runpy

    code: Any = 0
    try:
        runpy.run_module("invoke", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):
            raise
    # Nothing is left to be put away, and the interpreter would take its time for it.
    with contextlib.suppress(BrokenPipeError):  # as of `inv --list | head`
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
