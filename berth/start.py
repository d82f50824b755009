"""Start Invoke as `python -m invoke` does, in half the time. The launcher `inv` runs this file.

Half of Invoke's start is `unittest.mock`, which brings asyncio, for a class that only tests use, and
`importlib.metadata`, which brings email, for its own version. While Invoke is imported they are stand-ins that do the
same; afterwards they are gone, and whoever imports these modules gets the real ones.
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


def import_invoke() -> None:
    """Import Invoke with the stand-ins; where it needs more of them, it is left to be imported as usual."""
    modules = (stand_in("unittest.mock", Mock=mock), stand_in("importlib.metadata", version=version))
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
            del sys.modules[module.__name__]


if __name__ == "__main__":
    # As with `-m`: the folder of this file holds no top-level modules.
    sys.path[0] = os.getcwd()
    import_invoke()
    import runpy

    runpy.run_module("invoke", run_name="__main__", alter_sys=True)
