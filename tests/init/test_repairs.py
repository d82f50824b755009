"""Why a project does not start, read from what it printed."""

from __future__ import annotations

import pytest

from berth.init import repairs

SETTINGS = {"DATABASES": {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "USER": "owner"}}}


@pytest.mark.parametrize(
    "output",
    [
        "django.core.exceptions.ImproperlyConfigured: Set the SHOP_HOST environment variable",
        "  File \"os.py\", line 1, in __getitem__\nKeyError: 'SHOP_HOST'",
        "    a = os.environ.get('SHOP_HOST').split(':')[0]\n        ^^^^^^^^\nAttributeError: 'NoneType' object has no",
        "decouple.UndefinedValueError: SHOP_HOST not found. Declare it as envvar or define a default value.",
        'environs.exceptions.EnvError: Environment variable "SHOP_HOST" not set',
    ],
)
def test_a_missing_variable_is_known_by_the_words_of_each_reader(output: str) -> None:
    found = repairs.repair(output, {})
    assert found is not None
    assert found.answers == {"variable.SHOP_HOST": "localhost"}


def test_what_was_set_already_is_not_the_cause() -> None:
    assert repairs.repair("KeyError: 'SHOP_HOST'", {"variable.SHOP_HOST": "a"}) is None


def test_the_reason_is_the_last_error_of_a_traceback() -> None:
    output = "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'a'\n\nbye\n"
    assert repairs.reason(output) == "ModuleNotFoundError: No module named 'a'"


def test_the_database_of_the_stack_is_the_one_that_is_meant() -> None:
    assert repairs.meant(SETTINGS, "postgresql", "shop", "owner") == ""


def test_a_user_that_the_settings_leave_to_libpq_is_that_of_its_variable() -> None:
    settings = {"DATABASES": {"default": {**SETTINGS["DATABASES"]["default"], "USER": ""}}}
    assert repairs.meant(settings, "postgresql", "shop", "owner", ["PGUSER"]) == ""
    assert "database shop of , not shop of owner" in repairs.meant(settings, "postgresql", "shop", "owner")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3"}}},
            "would run on django.db.backends.sqlite3",
        ),
        ({"DATABASES": {"default": {**SETTINGS["DATABASES"]["default"], "NAME": "other"}}}, "other of owner"),
        ({"DATABASES": {}}, "no default database"),
        (None, "no default database"),
    ],
)
def test_any_other_database_is_named(settings: dict[str, object] | None, said: str) -> None:
    assert said in repairs.meant(settings, "postgresql", "shop", "owner")


def test_a_path_of_its_own_that_the_project_may_not_write_is_found() -> None:
    output = "  File x\nPermissionError: [Errno 13] Permission denied: '/home/web/code/data'\n"
    assert repairs.denied(output, "/home/web/code") == "/home/web/code/data"
    assert repairs.denied(output, "/home/web") == "/home/web/code/data"
    assert repairs.denied("PermissionError: [Errno 13] Permission denied: '/data'\n", "/home/web/code") == ""


def test_the_reason_of_a_failed_check_is_its_first_error() -> None:
    output = "SystemCheckError: System check identified some issues:\n\nERRORS:\na.B: (x.E5) no\na.C: (x.E6) no\n"
    assert repairs.reason(output) == "a.B: (x.E5) no"


def test_the_reason_is_found_in_the_log_of_a_service() -> None:
    log = "app-1  | Traceback (most recent call last):\napp-1  | redis.exceptions.ConnectionError: Error 111\napp-1  | GET\n"
    assert repairs.reason(log) == "redis.exceptions.ConnectionError: Error 111"


def test_the_reason_of_a_build_is_the_last_word_of_what_installs_packages() -> None:
    output = (
        "#21 2.7 error: Failed to build `x==1`\n#21 2.7 install-packages: fatal error: y.h: No such file\n"
        "#21 2.7 install-packages: \n#21 2.7 install-packages: x has no wheel, and its build needs y.h:\n"
        "#21 2.7 install-packages: name the Debian package that has it\n"
        '#21 ERROR: process "/bin/sh -c python3" did not complete successfully: exit code: 1\n------\n'
        " > [app packages-dev 4/5] RUN python3:\n------\nfailed to solve: process\n"
    )
    assert (
        repairs.build_reason(output) == "x has no wheel, and its build needs y.h: name the Debian package that has it"
    )


def test_the_reason_of_a_build_is_the_error_of_the_command_that_fails() -> None:
    output = "#9 1.0 Traceback (most recent call last):\n#9 1.0 KeyError: 'A'\n#9 ERROR: process did not complete\n"
    assert repairs.build_reason(output) == "KeyError: 'A'"


def test_pages_of_the_project_are_asked_for_behind_the_likely_ones() -> None:
    known = ("/logout/", "/shop/", "/health/", "/item/delete/")
    assert repairs.pages(("/admin/login/", "/"), known) == ("/admin/login/", "/", "/health/", "/shop/")


@pytest.mark.parametrize(
    ("answers", "logs", "said"),
    [
        (["GET /: HTTP/1.1 404 Not Found"], "", "no page answers 200 (/ 404)"),
        (
            ["GET /: HTTP/1.1 500 Error", "GET /a: HTTP/1.1 404 No"],
            "app | KeyError: 'a'",
            "the pages fail: KeyError: 'a'",
        ),
        (["GET /: HTTP/1.1 400 Bad Request"], "Invalid HTTP_HOST header: 'localhost'", "ALLOWED_HOSTS"),
        (["nothing answers HTTP on port 8000"], "app | ImportError: b", "the server does not answer: ImportError: b"),
    ],
)
def test_why_no_page_answers_is_said_in_one_sentence(answers: list[str], logs: str, said: str) -> None:
    assert repairs.no_page(answers, logs).startswith(said)


@pytest.mark.parametrize(
    ("allowed", "host"),
    [([], ""), (["*"], ""), (["a.example", "localhost"], ""), ([".a.example"], "a.example"), (["www.a"], "www.a")],
)
def test_the_health_check_asks_for_a_host_that_the_settings_allow(allowed: list[str], host: str) -> None:
    assert repairs.host({"ALLOWED_HOSTS": allowed}) == host


@pytest.mark.parametrize(
    ("path", "folder"),
    [("/code/var/logs/debug.log", "var/logs"), ("/var/log/debug.log", ""), ("/code/stats.json", "")],
)
def test_a_folder_that_git_does_not_hold_is_known_by_the_log_in_it(path: str, folder: str) -> None:
    output = f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'\nValueError: Unable to configure\n"
    assert repairs.missing_folder(output, "/code") == folder
