import os
import re
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def generate(variable: env.Variable) -> str | None:
    return {"project name": "shop", "secret": "s3cr$t's", "ca bundle": None}[variable.directive or ""]


def variable(directive: str) -> env.Variable:
    return env.Variable("KEY", default="8000", optional=True, directive=directive, line=1)


def found(text: str, environ: dict[str, str] | None = None) -> list[str]:
    return env.problems(env.parse(text, environ or {}), env.parse_template(TEMPLATE))


# Reading


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("KEY: hidden", "`KEY: value` is not understood by every reader of .env: write `KEY=value`"),
        ("KEY", "no `=` after the name: write `KEY=value`"),
        ("export KEY", "no `=` after the name: write `KEY=value`"),
        ("KEY= # hidden", "a comment cannot follow an empty value: move it to a line of its own"),
        ("KEY=#hidden", "a comment cannot follow an empty value: move it to a line of its own"),
        ("KEY=x\t# hidden", "a value that readers of .env understand differently: put it in single quotes"),
        ("KEY=hidden\xa0x", "a value that readers of .env understand differently: put it in single quotes"),
        ("KEY=hidden \x1c", "a value that readers of .env understand differently: put it in single quotes"),
        (
            "my-key=hidden",
            "not `KEY=value`: a name has ASCII letters, digits and `_`, a comment starts with `#`",
        ),
        (
            "'KEY'=hidden",
            "not `KEY=value`: a name has ASCII letters, digits and `_`, a comment starts with `#`",
        ),
        (
            "\ufeffKEY=hidden",
            "not `KEY=value`: a name has ASCII letters, digits and `_`, a comment starts with `#`",
        ),
        (
            "; hidden",
            "not `KEY=value`: a name has ASCII letters, digits and `_`, a comment starts with `#`",
        ),
        (
            'KEY="${A:-x\ny}"',
            "KEY has a `${` that Berth does not read: write `${NAME}`, `${NAME:-default}` or `$${`",
        ),
        (
            "KEY=${A:-:{}:}",
            "KEY has a `${` that Berth does not read: write `${NAME}`, `${NAME:-default}` or `$${`",
        ),
        (
            "KEY=${A:?hidden}",
            "KEY has a `${` that Berth does not read: write `${NAME}`, `${NAME:-default}` or `$${`",
        ),
        (
            "KEY=${A:+hidden}",
            "KEY has a `${` that Berth does not read: write `${NAME}`, `${NAME:-default}` or `$${`",
        ),
        ("KEY=pa$hidden", "KEY refers to a variable that is not set above it: write `$$` for a dollar sign"),
    ],
)
def test_a_line_that_compose_reads_differently_is_a_fault(line: str, advice: str) -> None:
    read = env.parse(f"# first\n\n{line}\nB=2\n", {})

    assert [str(fault) for fault in read.faults] == [f"line 3: {advice}"]
    assert read.values["B"] == "2"


@pytest.mark.parametrize(
    "value",
    ["'a\\\\b'", '"a\\\'b"', '"a\\$b"', '"\\0101"', "'x'y", "'x' B=2", "'x", '"x', "'a'\"b\"", "'a\\'"],
)
def test_quotes_that_compose_reads_differently_are_a_fault(value: str) -> None:
    assert [str(fault) for fault in env.parse(f"KEY={value}", {}).faults] == [
        "line 1: quotes that readers of .env understand differently: close them, write nothing but a comment"
        ' after them; between double quotes write `\\\\`, `\\"`, `\\n` or `$$` for a backslash, quote, line'
        " end or dollar sign"
    ]


def test_a_variable_set_twice_is_a_fault_and_the_last_one_counts() -> None:
    read = env.parse("A=1\nB=2\nA=3\n", {})

    assert [str(fault) for fault in read.faults] == [
        "line 3: A is set on line 1 already: delete one, Compose takes the last"
    ]
    assert (read.values, read.lines) == ({"A": "3", "B": "2"}, {"A": 3, "B": 2})


def test_the_process_environment_wins() -> None:
    read = env.parse("A=1\nB=$A\n", {"A": "outside", "OTHER": "x"})

    assert read == env.Env({"A": "outside", "B": "outside"}, {"A": 1, "B": 2}, frozenset({"A"}), [])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("A=1\nB=\0", "line 2 has a NUL character: save the file as plain text in UTF-8"),
        (
            "A=1\rB=2",
            "line 1 has a carriage return without a line feed: save the file with LF or CRLF line ends",
        ),
    ],
)
def test_what_is_no_text_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(env.EnvError) as caught:
        env.parse(text, {})

    assert str(caught.value) == f".env cannot be read: {complaint}"


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"A=1\nB=caf\xe9\n")

    for read in (lambda: env.read(path, {}), lambda: env.read_text(path)):
        with pytest.raises(env.EnvError) as caught:
            read()
        assert str(caught.value) == ".env cannot be read: line 2 is not UTF-8: save the file as UTF-8"


def test_a_file_from_windows_is_read(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"\xef\xbb\xbfA=1\r\nB='two'\r\n")

    assert env.read(path, {}).values == {"A": "1", "B": "two"}
    assert env.read_text(path) == "\ufeffA=1\r\nB='two'\r\n"


# The template


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
        "  - line 6: A is set on line 3 already: delete one, Compose takes the last\n"
        "  - line 8: not `KEY=value`: a name has ASCII letters, digits and `_`, a comment starts with `#`\n"
        "  - line 10: `#: secret` has to stand directly above a variable\n"
        "  - line 13: `#: magic` is unknown: write one of `#: secret`, `#: project name`, `#: user id`,"
        " `#: group id`, `#: free port`, `#: ca bundle`\n"
        "  - line 16: D has no comment line above it: say what it is for\n"
        "  - line 19: E has no port to begin with: write one after the `=`"
    )


# Problems


def test_a_filled_env_has_no_problems() -> None:
    assert found("COMPOSE_PROJECT_NAME=shop\nSECRET_KEY=x\nTAG=\nCA_BUNDLE=\n") == []


def test_all_problems_are_reported_at_once() -> None:
    problems = found("SECRET_KEY=\n\nTAGG=1\nmy-key: 2\nAPP_PUBLISHED_PORT=1\nAPP_PUBLISHED_PORT=2\nZZZ=1\n")

    assert env.message(problems) == (
        ".env does not match .env.template:\n"
        "  - line 3: TAGG is not in .env.template; did you mean TAG?\n"
        "  - line 4: not `KEY=value`: a name has ASCII letters, digits and `_`, a comment starts with `#`\n"
        "  - line 6: APP_PUBLISHED_PORT is set on line 5 already: delete one, Compose takes the last\n"
        "  - line 7: ZZZ is not in .env.template\n"
        "  - COMPOSE_PROJECT_NAME is missing: add the line `COMPOSE_PROJECT_NAME=...`\n"
        "  - SECRET_KEY is empty\n"
        "  - TAG is missing: add the line `TAG='a b'`"
    )


def test_a_variable_on_an_unreadable_line_is_not_called_missing_too() -> None:
    assert found("COMPOSE_PROJECT_NAME=shop\nSECRET_KEY=x\nTAG: 2\n") == [
        "line 3: `KEY: value` is not understood by every reader of .env: write `KEY=value`"
    ]


def test_a_name_in_lower_case_is_recognised() -> None:
    assert "line 1: tag is not in .env.template; did you mean TAG?" in found("tag=1")


def test_an_empty_override_is_told_from_an_empty_line() -> None:
    assert found("COMPOSE_PROJECT_NAME=shop\nSECRET_KEY=x\nTAG=1\n", {"SECRET_KEY": ""}) == [
        "SECRET_KEY is empty in the environment, which overrides .env: type `unset SECRET_KEY`"
    ]


def test_an_override_fills_an_empty_line() -> None:
    assert found("COMPOSE_PROJECT_NAME=shop\nSECRET_KEY=\nTAG=1\n", {"SECRET_KEY": "x"}) == []


def test_pieces_of_a_broken_secret_stay_unsaid() -> None:
    problems = found("SECRET_KEY=-----BEGIN KEY-----\nMIIEvgIBADANBgkqhkiG9w0B/+\nQEFAASCBKgwggSkAgEAAoIB==\n")

    assert problems[:2] == [
        "line 2: not `KEY=value`: a name has ASCII letters, digits and `_`, a comment starts with `#`",
        "line 3: this variable is not in .env.template",
    ]


BROKEN = ["{}'x", "'{}", '"{}', "${{{}", "${}", "${{A:?{}}}", "{}\t#x", "'{}'x", "# {}"]


@pytest.mark.parametrize("before", ["KEY=", "KEY: ", "my-key=", ""])
@pytest.mark.parametrize("broken", BROKEN)
def test_no_message_contains_a_value(before: str, broken: str) -> None:
    problems = found(before + broken.format("hunter2"))

    assert problems
    assert "hunter2" not in env.message(problems)


# Creating


def test_the_first_env_keeps_the_template_and_fills_in_what_can_be_made() -> None:
    assert env.create(TEMPLATE, generate) == TEMPLATE.replace("PROJECT_NAME=", "PROJECT_NAME=shop").replace(
        "SECRET_KEY=", 'SECRET_KEY="s3cr$$t\'s"'
    )


def test_an_optional_variable_becomes_active_when_its_value_could_be_made() -> None:
    created = env.create("# Bundle.\n#: ca bundle\n# CA_BUNDLE=\n", lambda variable: "/ca.pem")

    assert created == "# Bundle.\n#: ca bundle\nCA_BUNDLE=/ca.pem\n"


def test_the_first_env_has_no_problems() -> None:
    generator = env.generator(folder="My Shop", user_id=1000, group_id=20, ca_bundle=None, port=lambda _: None)

    created = env.create(TEMPLATE, generator)

    assert found(created) == []
    assert env.parse(created, {}).values["COMPOSE_PROJECT_NAME"] == "my-shop"


def test_each_directive_has_its_value() -> None:
    generate = env.generator(
        folder="shop",
        user_id=1234,
        group_id=20,
        ca_bundle="/ca.pem",
        port=lambda variable: int(variable.default) + 1,
    )

    made = {directive: generate(variable(directive)) for directive in env.DIRECTIVES}

    assert re.fullmatch("[0-9a-f]{64}", made.pop("secret") or "")
    assert made == {
        "project name": "shop",
        "user id": "1234",
        "group id": "20",
        "free port": "8001",
        "ca bundle": "/ca.pem",
    }
    assert generate(variable("secret")) != generate(variable("secret"))


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("shop", "shop"),
        ("My Shop", "my-shop"),
        (".config", "config"),
        ("_my_app-2_", "my_app-2"),
        ("Größe & Café", "grosse-cafe"),
        ("日本", "project"),
        ("", "project"),
        ("9.1", "9-1"),
    ],
)
def test_a_project_is_named_after_its_folder(folder: str, name: str) -> None:
    assert env.project_name(folder) == name


def test_what_is_not_known_is_not_made() -> None:
    generate = env.generator(folder="shop", user_id=None, group_id=None, ca_bundle=None, port=lambda _: None)

    unknown = ("user id", "group id", "free port", "ca bundle")
    assert [generate(variable(directive)) for directive in unknown] == [None] * 4


@given(st.text())
def test_every_folder_gives_a_valid_project_name(folder: str) -> None:
    assert re.fullmatch("[a-z0-9][a-z0-9_-]*", env.project_name(folder))


# Changing


def test_lines_are_set_where_they_stand() -> None:
    text = "# A=0\r\n\r\nexport A = old  # kept\r\n# B=1\r\n# B=2\r\nC='x\r\ny'\r\nD= 1\r\nbroken line\r\n"

    assert env.with_values(text, {"A": "it's", "B": "new", "C": "", "E": "e"}) == (
        "# A=0\r\n\r\nexport A = \"it's\"  # kept\r\nB=new\r\n# B=2\r\nC=''\r\nD= 1\r\nbroken line\r\nE=e\r\n"
    )


def test_every_line_of_a_variable_is_set() -> None:
    assert env.with_values("A=1\nB=$A\nA=2", {"A": "3"}) == "A=3\nB=$A\nA=3"


def test_a_line_is_appended_after_a_last_line_without_end() -> None:
    assert env.with_values("A=1", {"B": "2"}) == "A=1\nB=2\n"
    assert env.with_values("", {"B": "2"}) == "B=2\n"


lines = st.text("AB= '\"#\n\r\\$:x\ufeff\xa0", max_size=30)


@given(lines)
def test_a_text_without_values_to_set_stays_byte_for_byte(text: str) -> None:
    assert env.with_values(text, {}) == text


@given(lines, st.text("ab'\"\\$#\n\r ="))
def test_a_value_that_was_set_is_read_back(text: str, value: str) -> None:
    try:
        before = env.parse(text, {})
    except env.EnvError:
        before = env.parse(text := "", {})
    if before.faults:
        text, before = "", env.parse("", {})

    after = env.parse(env.with_values(text, {"A": value}), {})

    assert after.values["A"] == value
    assert after.values.keys() == before.values.keys() | {"A"}


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_a_value_that_no_env_can_hold_is_refused(value: str) -> None:
    with pytest.raises(env.EnvError) as caught:
        env.quote(value)

    assert str(caught.value) == "a value for .env has a NUL character or half a surrogate pair: leave it out"


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("", "''"),
        ("sqs://broker:9324", "sqs://broker:9324"),
        ("a b", "'a b'"),
        ('$5 # "', "'$5 # \"'"),
        ("it's $5\n", '"it\'s $$5\\n"'),
        ("C:\\ca.pem", '"C:\\\\ca.pem"'),
    ],
)
def test_a_value_is_quoted_no_more_than_needed(value: str, quoted: str) -> None:
    assert env.quote(value) == quoted


# Files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        env.write_new(tmp_path / ".env", "A=ü\r\n")
    finally:
        os.umask(before)

    assert (tmp_path / ".env").read_bytes() == b"A=\xc3\xbc\r\n"
    assert mode(tmp_path / ".env") == 0o600
    assert os.listdir(tmp_path) == [".env"]


def test_a_new_file_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=mine")
    (tmp_path / "link").symlink_to("nowhere")

    for name in (".env", "link"):
        with pytest.raises(FileExistsError):
            env.write_new(tmp_path / name, "A=theirs")

    assert (tmp_path / ".env").read_text() == "A=mine"
    assert os.readlink(tmp_path / "link") == "nowhere"
    assert sorted(os.listdir(tmp_path)) == [".env", "link"]


def test_of_two_writers_one_wins_and_the_other_learns_of_it(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    won, lost = [], []

    def write(number: int) -> None:
        barrier.wait()
        try:
            env.write_new(tmp_path / ".env", f"A={number}\n" * 10_000)
        except FileExistsError:
            lost.append(number)
        else:
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(won), len(lost)) == (1, 7)
    assert (tmp_path / ".env").read_text() == f"A={won[0]}\n" * 10_000


@pytest.mark.parametrize("permissions", [0o600, 0o640])
def test_a_replaced_file_keeps_its_permissions(tmp_path: Path, permissions: int) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1")
    path.chmod(permissions)

    env.replace(path, "A=2\r\n")

    assert path.read_bytes() == b"A=2\r\n"
    assert mode(path) == permissions
    assert os.listdir(tmp_path) == [".env"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can own files of others")
def test_a_replaced_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1")
    os.chown(path, 1234, 20)

    env.replace(path, "A=2")

    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 20)


def test_a_replaced_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "real.env"
    target.write_text("A=1")
    (tmp_path / ".env").symlink_to("elsewhere/real.env")

    env.replace(tmp_path / ".env", "A=2")

    assert (tmp_path / ".env").is_symlink()
    assert target.read_text() == "A=2"
    assert os.listdir(tmp_path / "elsewhere") == ["real.env"]


def test_a_missing_file_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        env.replace(tmp_path / ".env", "A=1")

    assert os.listdir(tmp_path) == []


ROWS = st.lists(
    st.sampled_from(
        [
            "A=1",
            "B=",
            "C=a,b:/@%+-=c",
            "# a comment",
            "#",
            "",
            "A=2",
            "D='x'",
            " E=1",
            "F=$A",
            "G=a b",
            "export H=1",
            "I=é",
            "#: x",
        ]
    )
    | st.text(st.sampled_from("AZ_=# '\"\\$\t\u2028\x0b1,"), max_size=8)
)


@given(ROWS, st.sampled_from(["", "\n", "\n\n"]))
def test_plain_text_is_read_as_python_dotenv_reads_it(rows: list[str], end: str) -> None:
    text = "\n".join(rows) + end
    plain = env._plain_statements(text)
    if plain is not None:
        parsed = env._parsed_statements(text)
        assert all(statement.match for statement in [*plain, *parsed])
        assert [(one.line, one.match["name"], one.match["value"] or "", one.value) for one in plain if one.match] == [
            (one.line, one.match["name"], one.match["value"] or "", one.value) for one in parsed if one.match
        ]


def test_env_as_it_is_made_is_plain() -> None:
    text = (Path(__file__).parents[1] / ".env.template").read_text(encoding="utf-8")
    assert env._plain_statements(env._OPTIONAL.sub("", text))
