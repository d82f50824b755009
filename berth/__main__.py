"""Start `berth.cli`. The launcher `./inv` runs this file; `berth` and `python -m berth` run its `main`."""

from __future__ import annotations

import signal
import sys


def main(binary: str | None = None) -> None:
    """Run the command line that we were started with.

    :param binary: what was typed, where that is not the name of the program.
    """
    # With PYTHONDONTWRITEBYTECODE, which many set for containers, each start would compile all modules, for 40 ms.
    sys.dont_write_bytecode = False
    # Ctrl-C during the imports ends us as it ends a program in C: with 130 for a shell, and without a traceback.
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from berth import start

    start.import_invoke()
    from berth import cli

    cli.main(binary)


if __name__ == "__main__":
    if __package__:
        main("python -m berth")
    else:
        # Python has put the folder of this file there, whose modules are no top-level ones.
        sys.path[0] = __file__.rpartition("/berth/")[0]
        main("./inv")
