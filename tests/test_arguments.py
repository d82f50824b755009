"""What tasks receive for what is typed, with Invoke's own Program in front."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invoke import Context, Program, Task, task

from berth.arguments import CommandTask, NamesTask
from berth.collection import collection

HINT = "Type `inv --list` for the tasks, `inv --help TASK` for one"
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
    def exec_(c: Context, command: list[str]) -> None:
        """Run a command in a running service."""
        received.append(("exec", command))

    @task(klass=CommandTask, iterable=["command"], auto_shortflags=False)
    def test_in_container(c: Context, command: list[str], image: str = "dev") -> None:
        """Test inside a built image."""
        received.append(("test-in-container", command, image))

    @task
    def down(c: Context, volumes: bool = False) -> None:
        """Stop the services."""
        received.append(("down", volumes))

    @task(iterable=["label"])
    def plain(c: Context, label: list[str], tag: str = "") -> None:
        """A task of Invoke's own kind."""
        received.append(("plain", label, tag))

    return [up, logs, exec_, test_in_container, down, plain]


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch) -> Type:
    """Return a function that runs `inv WORDS` and returns what the tasks received, in their order."""

    def run(*words: str) -> Received:
        received: Received = []
        argv = ["inv", *words]
        monkeypatch.setattr(sys, "argv", argv)
        Program(namespace=collection(__file__, *tasks(received)), name="inv", binary="inv").run(argv)
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
        (["up", "exec", "app", "up"], [("up", [], False, False), ("exec", ["app", "up"])]),
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


def test_unknown_option_of_a_task_of_names_is_refused(type_: Type, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^1$"):
        type_("up", "--bild")
    assert capsys.readouterr().err == f"No idea what '--bild' is! {HINT}\n"


def test_unknown_task_is_refused(type_: Type, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^1$"):
        type_("pu")
    assert capsys.readouterr().err == f"No idea what 'pu' is! {HINT}\n"
