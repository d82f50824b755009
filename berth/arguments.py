"""Let tasks take arguments as a shell user types them.

Invoke has neither optional nor variadic positional arguments (pyinvoke/invoke#159, #378), so `inv logs app` and
`inv manage migrate --plan` are errors to its parser. `Parser` knows three kinds of tasks more, each with one list
parameter (``iterable=``). `berth.cli` uses it, and `berth.plain_invoke` puts it into Invoke's own program.

- `@task(klass=NamesTask, ...)` takes words that are neither options nor tasks, as in `inv logs app db --tail 5`;
- `@task(klass=CommandTask, ...)` takes a name, and everything behind it untouched, as in `inv exec app ls -la`; options
  in front of the name are the task's own, or Invoke's;
- `@task(klass=WrapperTask, ...)` stands for another program, and takes everything from the first word that is no option
  of its own, as in `inv manage migrate --plan`. `--help` in front is its own where it has options, else the program's.

A `--` may stand in front of what is handed over, and then is not. Words behind one that no task takes are refused.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

import invoke
import invoke.parser
from invoke.exceptions import ParseError
from invoke.parser import Argument, ParserContext, ParseResult

from berth.errors import Refused, expected
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
    """A task of Berth: what is expected to go wrong ends it in one line, in Invoke's own program, too."""

    unclaimed: ClassVar[Sequence[str]] = ()
    """Words behind a `--` that no task of this command line takes."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if Task.unclaimed:
            raise Refused(f"`{self.name}` takes no words: leave out `-- {' '.join(Task.unclaimed)}`")
        try:
            return super().__call__(*args, **kwargs)
        except (Exception, KeyboardInterrupt) as error:
            if (end := expected(error)) is None or end is error:
                raise
            raise end from error


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

    program = "inv"
    """What is typed to run it."""

    def parse_argv(self, argv: list[str]) -> ParseResult:
        """
        :raises ParseError: the command line names no such task or option.
        :raises Refused: this Invoke handed the words to other tasks than we read.
        """
        body, command = self._split(argv)
        # Invoke copies every task that it is given: it gets those that are typed.
        named = [task for task in self.contexts.values() if {task.name, *task.aliases} & set(body)]
        try:
            result = invoke.parser.Parser(named, self.initial, self.ignore_unknown).parse_argv(body)
        except ParseError as error:
            raise self._explained(error, body) from None
        except ValueError:
            raise self._not_a_number(body) from None
        last = result[-1] if result else None
        if command:
            argument = _argument(last, Rest)
            if argument is None:
                raise unsuitable("its parser put the words behind a task elsewhere")
            for word in command:
                argument.value = word
        Task.unclaimed = [] if _argument(last, Rest) or _argument(last, Names) else _rest()
        return result

    def _split(self, argv: list[str]) -> tuple[list[str], list[str]]:
        """Return what Invoke shall parse, and the command for the last task of it."""
        body: list[str] = []
        task: ParserContext | None = None
        for position, word in enumerate(argv):
            if self._is_value(body, task):
                body.append(word)
            elif _argument(task, Rest) and not _is_option(word, task):
                return body, _joined(argv[position:], _rest())
            elif word in self.contexts:
                task = self.contexts[word]
                body.append(word)
            elif (names := _argument(task, Names)) and not word.startswith("-"):
                body += [f"--{names.name}", word]
            else:
                body.append(word)
        if names := _argument(task, Names):
            body += [part for word in _rest() for part in (f"--{names.name}", word)]
        return body, _rest() if _argument(task, Rest) else []

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
        return self._with_what_to_type(message, task)

    def _not_a_number(self, body: list[str]) -> ParseError:
        """Return which option got a word instead of a number."""
        task = next((self.contexts[word] for word in body if word in self.contexts), None)
        for option, word in itertools.pairwise([part for typed in body for part in typed.split("=", 1)]):
            for context in (task, self.initial):
                if context and option in context.flags and context.flags[option].kind is int and not _is_number(word):
                    message = f"`{option}` takes a number, not `{word}`."
                    if option == "-T" and _argument(task, Command):
                        message += " docker's option of that name is set where it has to be: leave it out."
                    return self._with_what_to_type(message, task)
        return self._with_what_to_type("an option takes a number.", task)

    def _with_what_to_type(self, message: str, task: ParserContext | None) -> ParseError:
        for_one = f", `{self.program} --help {task.name}` for its options" if task else ""
        return ParseError(f"{message} Type `{self.program} --list` for the tasks{for_one}", task)


def unsuitable(reason: str) -> Refused:
    """Return that this Invoke is none that we know."""
    version = f"Invoke {invoke.__version__}"
    return Refused(f"Berth does not fit {version}: {reason}; install the one that Berth was locked with")


def _is_number(word: str) -> bool:
    return word.removeprefix("-").isdecimal()


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


def _rest() -> list[str]:
    """Return what stands behind the first `--` of our command line, which Invoke only keeps joined."""
    arguments = sys.argv[1:]
    return arguments[arguments.index("--") + 1 :] if "--" in arguments else []


def _joined(words: list[str], rest: list[str]) -> list[str]:
    return [*words, "--", *rest] if "--" in sys.argv[1:] else words
