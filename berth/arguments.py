"""Let tasks take arguments as a shell user types them.

Invoke has neither optional nor variadic positional arguments (pyinvoke/invoke#159, #378), so `inv logs app` and
`inv manage migrate --plan` are errors to its parser. Importing this module puts `Parser` in its place, which knows
three kinds of tasks more, each with one list parameter (``iterable=``):

- `@task(klass=NamesTask, ...)` takes words that are neither options nor tasks, as in `inv logs app db --tail 5`;
- `@task(klass=CommandTask, ...)` takes a name, and everything behind it untouched, as in `inv exec app ls -la`; options
  in front of the name are the task's own, or Invoke's;
- `@task(klass=WrapperTask, ...)` stands for another program, and takes everything from the first word that is no option
  of its own, as in `inv manage migrate --plan`. `--help` in front is its own where it has options, else the program's.

A `--` may stand in front of what is handed over, and then is not.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import invoke
import invoke.parser
import invoke.program
from invoke import Exit
from invoke.exceptions import ParseError
from invoke.parser import Argument, ParserContext, ParseResult

from berth.errors import Refused
from berth.nearest import did_you_mean


class Names(Argument):
    """The list parameter of a `NamesTask`."""


class Rest(Argument):
    """The list parameter of a task that takes the rest of the command line."""


class Command(Rest):
    """The list parameter of a `CommandTask`."""


class Program(Rest):
    """The list parameter of a `WrapperTask`."""


class Task(invoke.Task):  # type: ignore[type-arg]
    """A task of Berth: what it refuses ends it in one line."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except Refused as refused:
            raise Exit(str(refused) or None, code=refused.code) from None


class NamesTask(Task):
    """A task that takes any number of names."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        return _marked(super().get_arguments(ignore_unknown_help), Names)


class CommandTask(Task):
    """A task that takes a name and the rest of the command line."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        return _marked(super().get_arguments(ignore_unknown_help), Command)


class WrapperTask(Task):
    """A task that stands for another program."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        return _marked(super().get_arguments(ignore_unknown_help), Program)


class Parser(invoke.parser.Parser):
    """Invoke's parser with the kinds of tasks above; all others are parsed as before."""

    def parse_argv(self, argv: list[str]) -> ParseResult:
        """
        :raises ParseError: the command line names no such task or option.
        :raises Exit: this Invoke handed the words to other tasks than we read.
        """
        body, command = self._split(argv)
        # Invoke copies every task that it is given: it gets those that are typed.
        named = [task for task in self.contexts.values() if {task.name, *task.aliases} & set(body)]
        try:
            result = invoke.parser.Parser(named, self.initial, self.ignore_unknown).parse_argv(body)
        except ParseError as error:
            raise self._explained(error, body) from None
        if command:
            argument = _argument(result[-1] if result else None, Rest)
            if argument is None:
                raise _unsuitable("its parser put the words behind a task elsewhere")
            for word in command:
                argument.value = word
        return result

    def _split(self, argv: list[str]) -> tuple[list[str], list[str]]:
        """Return what Invoke shall parse, and the command for the last task of it."""
        body: list[str] = []
        task: ParserContext | None = None
        for position, word in enumerate(argv):
            if self._is_value(body, task):
                body.append(word)
            elif _argument(task, Rest) and not _is_option(word, task):
                return body, _with_rest(argv[position:])
            elif word in self.contexts:
                task = self.contexts[word]
                body.append(word)
            elif (names := _argument(task, Names)) and not word.startswith("-"):
                body += [f"--{names.name}", word]
            else:
                body.append(word)
        return body, _with_rest([]) if _argument(task, Rest) else []

    def _is_value(self, body: list[str], task: ParserContext | None) -> bool:
        """Tell whether the word after ``body`` is the value of an option."""
        for context in (task, self.initial):
            # Not `get`: it knows no short flags, which are aliases there.
            if task and context and body and body[-1] in context.flags:
                flag = context.flags[body[-1]]
                return bool(flag.takes_value and not flag.optional)
        return False

    def _explained(self, error: ParseError, body: list[str]) -> ParseError:
        """Return the error with what to type instead."""
        task = error.context if error.context and error.context.name else None
        message = str(error)
        # Invoke does not keep the word that it stumbled over.
        unknown = next((word for word in body if message == f"No idea what {word!r} is!"), None)
        if unknown is not None:
            choices = [*self.contexts.keys(), *(task.flags if task else ())]
            kind = f"option of `{task.name}`" if task and unknown.startswith("-") else "task"
            message = f"no {kind} is called `{unknown}`{did_you_mean(unknown, choices)}"
        for flag in task.args.values() if task else ():
            if message == f"Flag {flag!r} needed value and was not given one!":
                message = f"`--{flag.name}` needs a value."
        inv = _called_as()
        for_one = f", `{inv} --help {task.name}` for its options" if task else ""
        return ParseError(f"{message} Type `{inv} --list` for the tasks{for_one}", task)


def _called_as() -> str:
    """Return what was typed: the launcher runs Invoke as a module."""
    return "./inv" if sys.argv[0].endswith("__main__.py") else "inv"


def install(program: ModuleType) -> None:
    """Let ``program``, Invoke's module of that name, use `Parser`.

    :raises Exit: it makes its parsers in another way than Invoke 3.0 does, so that ours would never be asked.
    """
    methods = [getattr(getattr(program, "Program", None), name, None) for name in ("parse_core_args", "_make_parser")]
    if not all("Parser" in getattr(getattr(method, "__code__", None), "co_names", ()) for method in methods):
        raise _unsuitable("its program makes parsers in another way")
    program.Parser = Parser  # type: ignore[attr-defined]


def _unsuitable(reason: str) -> Exit:
    return Exit(f"Berth does not fit Invoke {invoke.__version__}: {reason}; install the one of requirements/berth.txt")


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


def _is_option(word: str, task: ParserContext | None) -> bool:
    """Tell whether ``word``, in front of what is handed over, is for the task or for Invoke."""
    if _argument(task, Command):
        return word.startswith("-")
    assert task is not None
    options = {*task.flags, "-h", "--help"} if len(task.args) > 1 else set()
    return word.partition("=")[0] in options


def _with_rest(words: list[str]) -> list[str]:
    """Return ``words`` and what stands behind the first `--` of our command line, which Invoke only keeps joined."""
    arguments = sys.argv[1:]
    if "--" not in arguments:
        return words
    rest = arguments[arguments.index("--") + 1 :]
    return [*words, "--", *rest] if words else rest


install(invoke.program)
