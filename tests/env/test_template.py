"""What `.env.template` means, and what is said of a `.env` that does not fit it."""

from __future__ import annotations

import pytest

from berth import env

TEMPLATE = """\
# The manual of .env.

# Name of the Compose project.
#: project name
COMPOSE_PROJECT_NAME=

# Signs sessions.
#: secret
SECRET_KEY=

# Tag of the images,
# on all of them.
TAG='a b'  # a default

# Port of the app on this machine.
# APP_PUBLISHED_PORT=8000

# CA bundle for builds.
#: ca bundle
# CA_BUNDLE=
"""


def found(text: str, environ: dict[str, str] | None = None) -> list[str]:
    return env.problems(env.parse(text, environ or {}), env.parse_template(TEMPLATE))


def test_the_template_is_read() -> None:
    assert list(env.parse_template(TEMPLATE).values()) == [
        env.Variable("COMPOSE_PROJECT_NAME", "", False, "project name", 5),
        env.Variable("SECRET_KEY", "", False, "secret", 9),
        env.Variable("TAG", "'a b'", False, None, 13),
        env.Variable("APP_PUBLISHED_PORT", "8000", True, None, 16),
        env.Variable("CA_BUNDLE", "", True, "ca bundle", 20),
    ]


def test_a_sentence_may_look_like_an_assignment() -> None:
    template = env.parse_template("# KEY=     must be filled.\n# DEBUG=1 shows more.\nDEBUG=0\n# Text.\n# TEXT='a b'\n")

    assert list(template.values()) == [
        env.Variable("DEBUG", "0", False, None, 3),
        env.Variable("TEXT", "'a b'", True, None, 5),
    ]
    assert env.with_values("# A=1 is good.\n# A=2 # default\n", {"A": "3"}) == "# A=1 is good.\nA=3 # default\n"


def test_a_template_with_crlf_and_bom_is_read() -> None:
    crlf = "\ufeff" + TEMPLATE.replace("\n", "\r\n")

    assert env.parse_template(crlf) == env.parse_template(TEMPLATE)


def test_all_faults_of_a_template_are_reported() -> None:
    with pytest.raises(env.EnvError) as caught:
        env.parse_template(
            "BARE=1\n"
            "# Fine.\nA=1\n"
            "# B=2\n"
            "# Again.\nA=3\n"
            "# Bad name.\nmy-key=1\n"
            "# Nothing below.\n#: secret\n\n"
            "# Unknown way.\n#: magic\nC=\n"
            "#: secret\nD=\n"
            "# No port.\n#: free port\n# E=\n"
        )

    assert str(caught.value) == (
        ".env.template is not usable:\n"
        "  - line 1: BARE has no comment line above it: say what it is for\n"
        "  - line 4: B has no comment line above it: say what it is for\n"
        "  - line 6: A is set on line 3 already: delete one\n"
        "  - line 8: not `NAME=value`: a name has ASCII letters, digits and `_`, a comment starts with `#`\n"
        "  - line 10: `#: secret` has to stand directly above a variable\n"
        "  - line 13: `#: magic` is unknown: write one of `#: secret`, `#: project name`, `#: user id`,"
        " `#: group id`, `#: free port`, `#: ca bundle`\n"
        "  - line 16: D has no comment line above it: say what it is for\n"
        "  - line 19: E has no port to begin with: write one after the `=`"
    )


def test_a_template_may_refer_to_what_is_set_elsewhere() -> None:
    assert env.parse_template("# Cache.\nCACHE=${HOME}/cache\n")["CACHE"].default == "${HOME}/cache"


def test_a_filled_env_has_no_problems() -> None:
    assert found("COMPOSE_PROJECT_NAME=shop\nSECRET_KEY=x\nTAG=\nCA_BUNDLE=\n") == []


def test_all_problems_are_reported_at_once() -> None:
    problems = found("SECRET_KEY=\n\nTAGG=1\nmy-key: 2\nAPP_PUBLISHED_PORT=1\nAPP_PUBLISHED_PORT=2\nZZZ=1\n")

    assert env.message(problems) == (
        ".env does not match .env.template:\n"
        "  - line 3: TAGG is not in .env.template; did you mean TAG?\n"
        "  - line 4: not `NAME=value`: a name has ASCII letters, digits and `_`, a comment starts with `#`\n"
        "  - line 6: APP_PUBLISHED_PORT is set on line 5 already: delete one\n"
        "  - line 7: ZZZ is not in .env.template\n"
        "  - COMPOSE_PROJECT_NAME is missing: add the line `COMPOSE_PROJECT_NAME=...`\n"
        "  - SECRET_KEY is empty: fill in line 1\n"
        "  - TAG is missing: add the line `TAG='a b'`"
    )


def test_a_variable_on_an_unreadable_line_is_not_called_missing_too() -> None:
    assert found("COMPOSE_PROJECT_NAME=shop\nSECRET_KEY=x\nTAG: 2\n") == [
        "line 3: TAG needs `=`, and the value directly behind it: write `TAG=value`"
    ]


def test_a_name_in_lower_case_is_recognised() -> None:
    assert "line 1: tag is not in .env.template; did you mean TAG?" in found("tag=1")


def test_a_message_lists_ten_problems_and_counts_the_others() -> None:
    unknown = "".join(f"UNKNOWN_{number}=hidden\n" for number in range(50))
    heading, *rows = env.message(found(f"COMPOSE_PROJECT_NAME=shop\nSECRET_KEY=x\nTAG=1\n{unknown}")).splitlines()

    assert heading == ".env does not match .env.template:"
    assert rows[0] == "  - line 4: UNKNOWN_0 is not in .env.template"
    assert rows[9:] == ["  - line 13: UNKNOWN_9 is not in .env.template", "  - and 40 more"]


def test_an_empty_override_is_told_from_an_empty_line() -> None:
    assert found("COMPOSE_PROJECT_NAME=shop\nSECRET_KEY=x\nTAG=1\n", {"SECRET_KEY": ""}) == [
        "SECRET_KEY is empty in the environment, which overrides .env: type `unset SECRET_KEY`"
    ]


def test_an_override_fills_an_empty_line() -> None:
    assert found("COMPOSE_PROJECT_NAME=shop\nSECRET_KEY=\nTAG=1\n", {"SECRET_KEY": "x"}) == []


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_value_of_several_lines_is_one_fault_and_its_pieces_stay_unsaid(quote: str) -> None:
    key = f"SECRET_KEY={quote}-----BEGIN KEY-----\nMIIEvgIBADANBgkqhkiG9w0B/+\nQEFAASCBKgwggSkAgEAAoIB==\nx+x{quote}\n"
    problems = found(f"COMPOSE_PROJECT_NAME=shop\n{key}TAG=1\n")

    assert len(problems) == 1
    assert problems[0].startswith("line 2: SECRET_KEY has ")


BROKEN = ["{}'x", "'{}", '"{}', "${{{}", "${}", "${{A:?{}}}", "{}\t#x", "'{}'x", "# {}"]


@pytest.mark.parametrize("before", ["KEY=", "KEY: ", "my-key=", ""])
@pytest.mark.parametrize("broken", BROKEN)
def test_no_message_contains_a_value(before: str, broken: str) -> None:
    problems = found(before + broken.format("hunter2"))

    assert problems
    assert "hunter2" not in env.message(problems)


def test_secrets_are_known_by_their_directive_or_name() -> None:
    template = env.parse_template("# A.\n#: secret\nSALT=\n# B.\nDB_PASSWORD=x\n# C.\nPLAIN=x\n")

    assert env.secret_values(env.parse("SALT=one\nDB_PASSWORD=two\nPLAIN=three\n", {}), template) == ["one", "two"]
