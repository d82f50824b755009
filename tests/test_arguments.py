"""What tasks receive for what is typed, with our own program in front, and with Invoke's."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import invoke
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invoke import Collection, Context, Program, Task, task
from invoke.parser import ParseResult

from berth import arguments, plain_invoke
from berth.arguments import CommandTask, NamesTask, WrapperTask
from berth.cli import Berth
from berth.errors import Refused

LIST = "Type `inv --list` for the tasks"
Received = list[tuple[Any, ...]]
Type = Callable[..., Received]


def tasks(received: Received) -> list[Task]:
    """Return one task of each kind; each appends its name and what it was given to ``received``."""

    @task(klass=NamesTask, iterable=["name"], help={"name": "A service."})
    def up(c: Context, name: list[str], build: bool = False, attach: bool = False) -> None:
        """Start the services."""
        received.append(("up", name, build, attach))

    @task(klass=NamesTask, iterable=["name"])
    def logs(c: Context, name: list[str], follow: bool = False, tail: str | None = None) -> None:
        """Show what the services print."""
        received.append(("logs", name, follow, tail))

    @task(klass=CommandTask, name="exec", iterable=["command"], auto_shortflags=False)
    def exec_(c: Context, command: list[str], user: str = "") -> None:
        """Run a command in a running service."""
        received.append(("exec", command, *[user] * bool(user), *["dry"] * c.config.run.dry))

    @task(klass=WrapperTask, iterable=["command"])
    def manage(c: Context, command: list[str]) -> None:
        """Run manage.py."""
        received.append(("manage", command))

    @task(klass=WrapperTask, iterable=["command"], auto_shortflags=False)
    def test_in_container(c: Context, command: list[str], image: str = "dev") -> None:
        """Test inside a built image."""
        received.append(("test-in-container", command, image))

    @task(klass=arguments.Task)
    def down(c: Context, volumes: bool = False) -> None:
        """Stop the services."""
        received.append(("down", volumes))

    @task(iterable=["label"])
    def plain(c: Context, label: list[str], tag: str = "") -> None:
        """A task of Invoke's own kind."""
        received.append(("plain", label, tag, *[c.remainder] * bool(c.remainder)))

    @task(klass=NamesTask, iterable=["name"])
    def stop(c: Context, name: list[str]) -> None:
        """Stop the services."""
        received.append(("stop", name))

    return [up, logs, stop, exec_, manage, test_in_container, down, plain]


@pytest.fixture(params=["berth", "plain inv"])
def type_(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Return a function that runs `inv WORDS` and returns what the tasks received, in their order."""
    if request.param == "plain inv":
        # As in a process of that program, which never sees ours, and is changed for good.
        monkeypatch.setattr(invoke.program, "Parser", invoke.program.Parser)
        monkeypatch.delitem(sys.modules, "berth.cli")
        plain_invoke.install()

    def run(*words: str) -> Received:
        received: Received = []
        argv = ["inv", *words]
        monkeypatch.setattr(sys, "argv", argv)
        program = Berth("inv") if request.param == "berth" else Program(name="inv", binary="inv")
        program.namespace = Collection(*tasks(received))
        program.run(argv)
        return received

    return run


@pytest.mark.parametrize(
    ("words", "received"),
    [
        (["up"], [("up", [], False, False)]),
        (["up", "app"], [("up", ["app"], False, False)]),
        (["up", "app", "db", "--build"], [("up", ["app", "db"], True, False)]),
        (["up", "--build", "app", "db"], [("up", ["app", "db"], True, False)]),
        (["up", "app", "--attach", "db"], [("up", ["app", "db"], False, True)]),
        (["up", "-ab", "app"], [("up", ["app"], True, True)]),
        (["up", "--name", "app"], [("up", ["app"], False, False)]),
        (["up", "worker-default"], [("up", ["worker-default"], False, False)]),
        (["logs", "app", "db", "--tail", "5", "--follow"], [("logs", ["app", "db"], True, "5")]),
        (["logs", "--tail", "5", "app"], [("logs", ["app"], False, "5")]),
        (["logs", "--tail=5", "app"], [("logs", ["app"], False, "5")]),
        (["logs", "-t", "5", "app", "-f"], [("logs", ["app"], True, "5")]),
        (["logs", "-t5", "app"], [("logs", ["app"], False, "5")]),
        (["up", "app", "logs", "db"], [("up", ["app"], False, False), ("logs", ["db"], False, None)]),
        (["up", "--build", "down", "--volumes"], [("up", [], True, False), ("down", True)]),
        (["up", "-T", "5", "app"], [("up", ["app"], False, False)]),
        (["up", "manage", "up", "--build"], [("up", [], False, False), ("manage", ["up", "--build"])]),
        (["up", "exec", "app", "up"], [("up", [], False, False), ("exec", ["app", "up"])]),
        (["stop", "--", "app"], [("stop", ["app"])]),
        (["stop", "db", "--", "app", "--yes", "up"], [("stop", ["db", "app", "--yes", "up"])]),
        (["stop", "--"], [("stop", [])]),
        (["down", "stop", "--", "app"], [("down", False), ("stop", ["app"])]),
        (["plain", "--", "a", "-b"], [("plain", [], "", "a -b")]),
        (["plain", "--label", "a", "--label", "b", "--tag", "up"], [("plain", ["a", "b"], "up")]),
        (["plain", "--tag=é 'x'", "up"], [("plain", [], "é 'x'"), ("up", [], False, False)]),
    ],
)
def test_names_are_told_from_options_and_tasks(type_: Type, words: list[str], received: Received) -> None:
    assert type_(*words) == received


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["app", "ls", "-la"], ["app", "ls", "-la"]),
        (["--", "app", "ls", "-la"], ["app", "ls", "-la"]),
        (["app", "--", "ls"], ["app", "--", "ls"]),
        (["--", "app", "--", "ls"], ["app", "--", "ls"]),
        (["app", "git", "log", "--", "path"], ["app", "git", "log", "--", "path"]),
        (["app", "git", "log", "--", "a", "--", "b"], ["app", "git", "log", "--", "a", "--", "b"]),
        (["app", "sh", "-c", "echo \"a b\" 'c' $HOME; exit 3"], ["app", "sh", "-c", "echo \"a b\" 'c' $HOME; exit 3"]),
        (["app", "--help"], ["app", "--help"]),
        (["app", "-h"], ["app", "-h"]),
        (["app", "--list", "--dry", "-e"], ["app", "--list", "--dry", "-e"]),
        (["app", "up", "down", "exec"], ["app", "up", "down", "exec"]),
        (["app", "--image", "prod", "--tag=é"], ["app", "--image", "prod", "--tag=é"]),
        (["app", ""], ["app", ""]),
        (["app", "ls", "--"], ["app", "ls", "--"]),
        (["app", "日本語", "a\nb", "-日"], ["app", "日本語", "a\nb", "-日"]),
        ([], []),
        (["--"], []),
    ],
)
def test_command_arrives_as_it_was_typed(type_: Type, words: list[str], command: list[str]) -> None:
    assert type_("exec", *words) == [("exec", command)]


@pytest.mark.parametrize(
    ("words", "received"),
    [
        (["--image", "test", "-k", "name"], ("test-in-container", ["-k", "name"], "test")),
        (["--image", "test", "--", "-k", "name"], ("test-in-container", ["-k", "name"], "test")),
        (["--image=test", "--", "-k", "a or b"], ("test-in-container", ["-k", "a or b"], "test")),
        (["--", "--image=x"], ("test-in-container", ["--image=x"], "dev")),
        (["users", "--image=x"], ("test-in-container", ["users", "--image=x"], "dev")),
        (["--image", "up", "users"], ("test-in-container", ["users"], "up")),
    ],
)
def test_options_in_front_of_a_command_are_the_tasks_own(
    type_: Type, words: list[str], received: tuple[Any, ...]
) -> None:
    assert type_("test-in-container", *words) == [received]


@pytest.mark.parametrize(
    "words",
    [
        ["migrate", "--plan", "users"],
        ["shell", "-c", "print('a b')"],
        ["--help"],
        ["-h"],
        ["--list"],
        ["-e", "--dry"],
        ["--version"],
        ["up", "down"],
        ["", "*", "é", "a\nb"],
        ["loaddata", "--", "-x"],
        [],
    ],
)
def test_everything_behind_a_program_is_its_own(type_: Type, words: list[str]) -> None:
    assert type_("manage", *words) == [("manage", words)]
    assert type_("manage", "--", *words) == [("manage", words)]


@pytest.mark.parametrize(
    ("words", "received"),
    [
        (["--user", "root", "app", "id"], ("exec", ["app", "id"], "root")),
        (["--user=root", "app", "id", "--user", "x"], ("exec", ["app", "id", "--user", "x"], "root")),
        (["--user", "up", "app", "id"], ("exec", ["app", "id"], "up")),
        (["--dry", "app", "id"], ("exec", ["app", "id"], "dry")),
        (["-R", "--user", "0", "app", "-R"], ("exec", ["app", "-R"], "0", "dry")),
        (["-T", "5", "app", "id"], ("exec", ["app", "id"])),
    ],
)
def test_options_in_front_of_a_service_are_the_tasks_or_invokes(
    type_: Type, words: list[str], received: tuple[Any, ...]
) -> None:
    assert type_("exec", *words) == [received]


WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(
    ["--", "-", "--help", "-h", "--list", "--dry", "up", "exec", "--command", "--image=x", "-abc", "=", "'", '"', "$x"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORD))
def test_any_words_behind_a_service_arrive_unchanged(type_: Type, words: list[str]) -> None:
    assert type_("exec", "app", *words) == [("exec", ["app", *words])]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORD))
def test_any_words_behind_dashes_arrive_unchanged(type_: Type, words: list[str]) -> None:
    assert type_("test-in-container", "--image=test", "--", *words) == [("test-in-container", words, "test")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.from_regex(r"[a-z0-9][a-z0-9_.-]*", fullmatch=True).filter(lambda word: word not in TASKS)))
def test_any_names_of_services_arrive_in_order(type_: Type, names: list[str]) -> None:
    assert type_("up", *names, "--build") == [("up", names, True, False)]


TASKS = {task.name for task in tasks([])} | {"test-in-container"}


def test_help_in_front_of_the_command_is_about_the_task(type_: Type, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        type_("exec", "--help")
    assert "Run a command in a running service." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "name"), [(["--help", "manage"], "manage"), (["--help", "exec"], "exec"), (["exec", "-h"], "exec")]
)
def test_help_of_a_task_can_be_asked_for_in_front(
    type_: Type, capsys: pytest.CaptureFixture[str], words: list[str], name: str
) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        type_(*words)
    assert capsys.readouterr().out.startswith(f"Usage: inv [--core-opts] {name} ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["up", "--bild"],
            f"no option of `up` is called `--bild`: did you mean `--build`? {LIST}, `inv --help up` for its options\n",
        ),
        (
            ["exec", "--usr", "root", "app", "id"],
            f"no option of `exec` is called `--usr`: did you mean `--user`? {LIST}, `inv --help exec` for its options\n",
        ),
        (["down", "--x"], f"no option of `down` is called `--x`. {LIST}, `inv --help down` for its options\n"),
        (["pu"], f"no task is called `pu`: did you mean `up`? {LIST}\n"),
        (["mange", "migrate"], f"no task is called `mange`: did you mean `manage`? {LIST}\n"),
        (["down", "ups"], f"no task is called `ups`: did you mean `up`? {LIST}, `inv --help down` for its options\n"),
        (["zzz"], f"no task is called `zzz`. {LIST}\n"),
        (["logs", "--tail"], f"`--tail` needs a value. {LIST}, `inv --help logs` for its options\n"),
        (
            ["exec", "-T", "db", "psql"],
            "`-T` takes a number, not `db`. docker's option of that name is set where it has to be: leave it out. "
            f"{LIST}, `inv --help exec` for its options\n",
        ),
        (
            ["up", "--command-timeout=x"],
            f"`--command-timeout` takes a number, not `x`. {LIST}, `inv --help up` for its options\n",
        ),
        (["up", "down", "--", "app", "db"], "`up` takes no words: leave out `-- app db`\n"),
    ],
)
def test_what_is_unknown_is_named_with_the_nearest_and_what_to_type(
    type_: Type, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match=r"^1$"):
        type_(*words)
    assert capsys.readouterr().err == message


def test_invoke_that_makes_its_parser_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "berth.cli")
    module = types.ModuleType("program")
    module.Program = type("Program", (), {"parse_core_args": lambda self: None})
    with pytest.raises(Refused) as error:
        plain_invoke.install(module)
    assert str(error.value) == (
        f"Berth does not fit Invoke {invoke.__version__}: its program makes parsers in another way; "
        "install the one that Berth was locked with"
    )
    assert not hasattr(module, "Parser")


def test_our_own_program_leaves_invokes_as_it_is() -> None:
    module = types.ModuleType("program")
    plain_invoke.install(module)
    assert not hasattr(module, "Parser")


def test_invoke_that_orders_tasks_anew_is_refused(type_: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    parse = invoke.parser.Parser.parse_argv

    def reversed_tasks(self: invoke.parser.Parser, argv: list[str]) -> ParseResult:
        result = parse(self, argv)
        result.reverse()
        return result

    with monkeypatch.context() as patched, pytest.raises(SystemExit, match=r"^1$"):
        patched.setattr(invoke.parser.Parser, "parse_argv", reversed_tasks)
        type_("exec", "app", "ls")
