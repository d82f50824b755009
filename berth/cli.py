"""The program behind `./inv` and `berth`: Invoke's, with our parser, and one line for whatever may go wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from invoke import Exit, Program
from invoke.exceptions import CollectionNotFound, ParseError, UnexpectedExit

from berth import __version__, terminal
from berth.arguments import Parser
from berth.errors import PIPE_CLOSED, Refused, expected
from berth.project import TASKS

OUTSIDE = frozenset({"init", "inspect", "upgrade"})
"""The tasks of `berth.tasks.outside`, which need no tasks.py."""


class Berth(Program):
    """Invoke's program with `berth.arguments.Parser`.

    :param binary: what was typed to run it, for its help.
    """

    def __init__(self, binary: str) -> None:
        super().__init__(name="Berth", version=__version__, binary=binary, binary_names=["berth", "inv"])

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Run the tasks of a command line. An expected end is one line; `--debug` shows its traceback, too.

        :param exit: end the process as well, unless all tasks were run.
        """
        code = None
        try:
            # As Invoke's `run`, which ends Ctrl-C with 1, and knows no errors but its own.
            self.create_config()
            self.parse_core(argv)
            self.parse_collection()
            self.parse_tasks()
            self.parse_cleanup()
            self.update_config()
            self.execute()
        except (Exception, KeyboardInterrupt) as error:
            code = self._told(error)
        code = _flushed() or code
        if exit and code is not None:
            sys.exit(code)

    def parse_core(self, argv: list[str] | None) -> None:
        super().parse_core(argv)
        # Invoke has Python compile every module at every start, unless it is told `--write-pyc`.
        sys.dont_write_bytecode = False

    def parse_core_args(self) -> None:
        self.core = self._parser(initial=self.initial_context, ignore_unknown=True).parse_argv(self.argv[1:])

    def _make_parser(self) -> Parser:
        return self._parser(initial=self.initial_context, contexts=self.collection.to_contexts())

    def _parser(self, **options: Any) -> Parser:
        parser = Parser(**options)
        parser.program = self.binary
        return parser

    def load_collection(self) -> None:
        first = next((word for word in self.argv[1:] if not word.startswith("-")), "")
        if first in OUTSIDE:
            # Before Berth is there a tasks.py is the project's own, and runs at no price.
            from berth.tasks import outside  # it loads all tasks, which tasks.py does elsewhere

            self.collection = outside()
            return
        here = Path.cwd()
        if not self.args.collection.value and any((each / TASKS).is_file() for each in (here, *here.parents)):
            self.args.collection.value = TASKS.removesuffix(".py")
        try:
            super().load_collection()
        except Exit as error:
            if not isinstance(missing := error.__context__, CollectionNotFound):
                raise
            raise Refused(
                f"there is no {missing.name}.py in {missing.start} or a folder above it: "
                f"change to the folder of a project, and type `{self.binary} --list`"
            ) from error

    def execute(self) -> None:
        # See `berth.__main__`.
        if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        super().execute()

    def _told(self, error: BaseException) -> int:
        """Tell an expected error, and return the exit code; raise any other."""
        if isinstance(error, ParseError):
            message, code = str(error), 1
        elif isinstance(error, UnexpectedExit):
            # Of a `c.run` in a task of the project.
            message, code = str(error).rstrip("\n") if error.result.hide else "", error.result.exited
        elif end := expected(error):
            message, code = end.message or "", end.code
        else:
            raise error
        if code and hasattr(self, "core") and self.args.debug.value:
            traceback.print_exception(error)
        if message:
            with contextlib.suppress(BrokenPipeError):
                print(message, file=sys.stderr)
        return code


def main(binary: str | None = None) -> None:
    """Run the command line that we were started with.

    :param binary: what was typed, where that is not the name of the program.
    """
    terminal.open_closed_streams()
    Berth(binary or Path(sys.argv[0]).name).run()


def _flushed() -> int:
    """Write out what was printed; return an exit code if nobody reads it, as of `inv --list | head -1`."""
    code = 0
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            # Or Python would try again, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            code = PIPE_CLOSED
    return code
