"""Let tasks take arguments as a shell user types them.

Invoke has neither optional nor variadic positional arguments (pyinvoke/invoke#159, #378), so `inv logs app` and
`inv manage migrate --plan` are errors to its parser. Importing this module puts `Parser` in its place, which knows two
kinds of tasks more, each with one list parameter (``iterable=``):

- `@task(klass=NamesTask, ...)` takes words that are neither options nor tasks, as in `inv logs app db --tail 5`;
- `@task(klass=CommandTask, ...)` takes everything untouched, as in `inv exec app ls -la`, behind the task's own
  options and `--help`. A `--` may stand in front, and then is not handed over.
"""

from __future__ import annotations

import sys

import invoke.parser
import invoke.program
from invoke import Task
from invoke.exceptions import ParseError
from invoke.parser import Argument, ParserContext, ParseResult


class Names(Argument):
    """The list parameter of a `NamesTask`."""


class Command(Argument):
    """The list parameter of a `CommandTask`."""


class NamesTask(Task):  # type: ignore[type-arg]
    """A task that takes any number of names."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        return _marked(super().get_arguments(ignore_unknown_help), Names)


class CommandTask(Task):  # type: ignore[type-arg]
    """A task that takes the rest of the command line."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        return _marked(super().get_arguments(ignore_unknown_help), Command)


class Parser(invoke.parser.Parser):
    """Invoke's parser with the two kinds of tasks above; all others are parsed as before."""

    def parse_argv(self, argv: list[str]) -> ParseResult:
        body, command = self._split(argv)
        try:
            result = super().parse_argv(body)
        except ParseError as error:
            raise ParseError(
                f"{error} Type `inv --list` for the tasks, `inv --help TASK` for one", error.context
            ) from None
        if command:
            argument = _argument(result[-1], Command)
            assert argument is not None
            for word in command:
                argument.value = word
        return result

    def _split(self, argv: list[str]) -> tuple[list[str], list[str]]:
        """Return what Invoke shall parse, and the command for the last task of it."""
        body: list[str] = []
        task: ParserContext | None = None
        for position, word in enumerate(argv):
            if _is_value(body, task):
                body.append(word)
            elif _argument(task, Command) and not _is_own(word, task):
                return body, _with_rest(argv[position:])
            elif word in self.contexts:
                task = self.contexts[word]
                body.append(word)
            elif (names := _argument(task, Names)) and not word.startswith("-"):
                body += [f"--{names.name}", word]
            else:
                body.append(word)
        return body, _with_rest([]) if _argument(task, Command) else []


def _marked(arguments: list[Argument], kind: type[Argument]) -> list[Argument]:
    return [
        kind(names=argument.names, kind=list, default=[], help=argument.help, attr_name=argument.attr_name)
        if argument.kind is list
        else argument
        for argument in arguments
    ]


def _argument(task: ParserContext | None, kind: type[Argument]) -> Argument | None:
    arguments = task.args.values() if task else ()
    return next((argument for argument in arguments if isinstance(argument, kind)), None)


def _is_own(word: str, task: ParserContext | None) -> bool:
    """Tell whether ``word`` is an option of the task itself, or asks for its help."""
    option = word.partition("=")[0]
    return option in {"-h", "--help"} or (task is not None and option in task.flags)


def _is_value(body: list[str], task: ParserContext | None) -> bool:
    """Tell whether the word after ``body`` is the value of an option."""
    # Not `get`: it knows no short flags, which are aliases there.
    flag = task.flags[body[-1]] if task and body and body[-1] in task.flags else None
    return flag is not None and flag.takes_value and not flag.optional


def _with_rest(words: list[str]) -> list[str]:
    """Return ``words`` and what stands behind the first `--` of our command line, which Invoke only keeps joined."""
    arguments = sys.argv[1:]
    if "--" not in arguments:
        return words
    rest = arguments[arguments.index("--") + 1 :]
    return [*words, "--", *rest] if words else rest


invoke.program.Parser = Parser  # type: ignore[attr-defined]
