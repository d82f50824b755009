"""Let Invoke's own program, plain `inv`, take arguments as `./inv` and `berth` do.

It offers no other way in than to exchange the parser in its module. Our own program, `berth.cli`, needs none of this.
"""

from __future__ import annotations

import sys
from types import ModuleType

import invoke.program

from berth import terminal
from berth.arguments import Parser, unsuitable


def install(program: ModuleType = invoke.program) -> None:
    """Let ``program``, Invoke's module of that name, use `Parser`, unless our own program runs.

    :raises Refused: it makes its parsers in another way than Invoke 3.0 does, so that ours would never be asked.
    """
    if "berth.cli" in sys.modules:
        return
    methods = [getattr(getattr(program, "Program", None), name, None) for name in ("parse_core_args", "_make_parser")]
    if not all("Parser" in getattr(getattr(method, "__code__", None), "co_names", ()) for method in methods):
        raise unsuitable("its program makes parsers in another way")
    program.Parser = Parser  # type: ignore[attr-defined]
    terminal.open_closed_streams()
