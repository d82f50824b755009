"""What becomes of the files that an earlier Berth has written, whatever their user has done to them."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invoke import Context

from berth import __version__
from berth.errors import Refused
from berth.init import merging, state, upgrading, writing
from berth.init.state import State
from berth.init.upgrading import BESIDE, Outcome

ROUNDS = int(os.environ.get("BERTH_UPGRADE_ROUNDS", "40"))
STATE = "docker/berth.json"
OLD = "".join(f"line {number}\n" for number in range(1, 13))
NEW = OLD.replace("line 6\n", "line 6 of the new version\n")


def upgrade(root: Path, old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Upgrade files, and return what became of each."""
    found = outcomes(root, old, new)
    upgrading.apply(root, found, STATE, "new")
    return {each.path: each.what for each in found}


def outcomes(root: Path, old: Mapping[str, str], new: Mapping[str, str]) -> list[Outcome]:
    return upgrading.outcomes(root, old, new, lambda *texts: merging.merge(Context(), *texts))


def text(root: Path, path: str) -> str:
    return (root / path).read_bytes().decode()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made(tmp_path, {"a": OLD})


def made(root: Path, files: Mapping[str, str]) -> Path:
    for path, content in {**files, STATE: "old"}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content.encode())
    return root


# --- One file ----------------------------------------------------------------


def test_an_untouched_file_becomes_the_new_one(root: Path) -> None:
    assert upgrade(root, {"a": OLD}, {"a": NEW}) == {"a": "replaced"}
    assert text(root, "a") == NEW


def test_a_line_of_the_user_far_from_the_change_stays(root: Path) -> None:
    (root / "a").write_text(OLD + "mine\n")
    assert upgrade(root, {"a": OLD}, {"a": NEW}) == {"a": "merged"}
    assert text(root, "a") == NEW + "mine\n"


def test_a_conflict_leaves_the_file_and_puts_the_new_text_beside_it(root: Path) -> None:
    mine = OLD.replace("line 6\n", "line 6, mine\n")
    (root / "a").write_text(mine)
    assert upgrade(root, {"a": OLD}, {"a": NEW}) == {"a": "conflict"}
    assert (text(root, "a"), text(root, f"a{BESIDE}")) == (mine, NEW)


def test_a_deleted_file_stays_deleted(root: Path) -> None:
    (root / "a").unlink()
    assert upgrade(root, {"a": OLD}, {"a": NEW}) == {"a": "stays deleted"}
    assert not (root / "a").exists()


def test_a_new_file_is_added_with_its_folder_and_as_a_script_if_it_is_one(root: Path) -> None:
    assert upgrade(root, {"a": OLD}, {"a": OLD, "new/run": "#!/bin/sh\n"}) == {"new/run": "added"}
    assert os.access(root / "new/run", os.X_OK)


def test_a_file_that_becomes_a_script_becomes_executable(root: Path) -> None:
    upgrade(root, {"a": OLD}, {"a": f"#!/bin/sh\n{OLD}"})
    assert os.access(root / "a", os.X_OK)


def test_a_new_file_that_is_in_the_way_of_none_of_ours_stays_the_projects(root: Path) -> None:
    (root / "b").write_text("theirs\n")
    assert upgrade(root, {"a": OLD}, {"a": OLD, "b": "ours\n"}) == {"b": "conflict"}
    assert (text(root, "b"), text(root, f"b{BESIDE}")) == ("theirs\n", "ours\n")


def test_what_is_written_no_more_goes_if_it_is_untouched(root: Path) -> None:
    made(root, {"gone/b": OLD, "c": "mine\n"})
    assert upgrade(root, {"a": OLD, "gone/b": OLD, "c": OLD}, {"a": OLD}) == {"gone/b": "deleted", "c": "stays"}
    assert not (root / "gone").exists()
    assert text(root, "c") == "mine\n"


def test_a_link_is_not_followed(root: Path) -> None:
    (root / "theirs").write_text(OLD)
    (root / "a").unlink()
    (root / "a").symlink_to("theirs")
    assert upgrade(root, {"a": OLD}, {"a": NEW}) == {"a": "conflict"}
    assert text(root, "theirs") == OLD


def test_bytes_that_are_no_text_survive_a_merge(root: Path) -> None:
    (root / "a").write_bytes(OLD.encode() + b"caf\xe9\r\n")
    assert upgrade(root, {"a": OLD}, {"a": NEW}) == {"a": "merged"}
    assert (root / "a").read_bytes() == NEW.encode() + b"caf\xe9\r\n"


# --- Again -------------------------------------------------------------------


def test_a_second_run_finds_nothing_to_do(root: Path) -> None:
    (root / "a").write_text(OLD + "mine\n")
    upgrade(root, {"a": OLD}, {"a": NEW})
    assert outcomes(root, {"a": NEW}, {"a": NEW}) == []


def test_a_conflict_is_named_until_what_stands_beside_the_file_is_gone(root: Path) -> None:
    (root / "a").write_text(OLD.replace("line 6\n", "line 6, mine\n"))
    upgrade(root, {"a": OLD}, {"a": NEW})
    assert [each.what for each in outcomes(root, {"a": NEW}, {"a": NEW})] == ["waits"]
    (root / f"a{BESIDE}").unlink()
    assert outcomes(root, {"a": NEW}, {"a": NEW}) == []


def test_what_somebody_keeps_beside_a_file_is_never_overwritten(root: Path) -> None:
    (root / f"a{BESIDE}").write_text("half merged\n")
    with pytest.raises(Refused, match="an earlier upgrade waits for you, and nothing was changed"):
        upgrade(root, {"a": OLD}, {"a": NEW})
    assert (text(root, "a"), text(root, f"a{BESIDE}")) == (OLD, "half merged\n")


# --- Edits of any kind -------------------------------------------------------

ADDED = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=20)


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, str, str]:
    """Give a text, what a new version makes of it, and what its user does."""
    base = [f"{draw(st.sampled_from('abc'))} {number % 7}" for number in range(draw(st.integers(0, 25)))]
    return tuple("".join(f"{row}\n" for row in rows) for rows in (base, edited(draw, base), edited(draw, base)))  # type: ignore[return-value]


def edited(draw: st.DrawFn, rows: list[str]) -> list[str]:
    rows = list(rows)
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(rows)))
        what = draw(st.sampled_from(["insert", "delete", "change"]))
        if what == "insert" or at == len(rows):
            rows.insert(at, draw(ADDED))
        elif what == "delete":
            del rows[at]
        else:
            rows[at] = draw(ADDED)
    return rows


@settings(max_examples=ROUNDS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories())
def test_no_line_of_the_user_is_lost_and_no_marker_is_left(
    history: tuple[str, str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    old, new, mine = history
    root = made(tmp_path_factory.mktemp("root"), {"a": mine})
    upgrade(root, {"a": old}, {"a": new})
    live = text(root, "a")
    if mine == old:
        assert live == new
        return
    assert own_lines(old, mine) - Counter(live.split("\n")) == Counter()
    assert not any(row.startswith(("<<<<<<<", ">>>>>>>")) for row in live.split("\n"))
    assert live == mine or not (root / f"a{BESIDE}").exists()


def own_lines(old: str, mine: str) -> Counter[str]:
    """Return the lines that are the user's: there are more of them than Berth has written."""
    return Counter(mine.split("\n")) - Counter(old.split("\n"))


@pytest.mark.parametrize("seed", range(ROUNDS // 20))
def test_an_upgrade_that_is_interrupted_anywhere_ends_as_one_that_is_not(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    old = {f"f{number}": OLD for number in range(6)}
    new = {**dict.fromkeys(list(old)[:5], NEW), "f6": NEW}
    edits = [OLD, OLD + "mine\n", OLD.replace("line 6\n", "mine\n"), "mine\n" + OLD, NEW]
    mine = {path: chance.choice(edits) for path in old}
    whole = made(tmp_path / "whole", mine)
    writes = sum(what != "stays" for what in upgrade(whole, old, new).values()) + 1
    for after in range(writes):
        half = made(tmp_path / str(after), mine)
        with monkeypatch.context() as patched, pytest.raises(Refused, match="type `berth upgrade` again"):
            _fail_after(after, patched)
            upgrade(half, old, new)
        assert text(half, STATE) == "old"
        upgrade(half, old, new)
        assert contents(half) == contents(whole)


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _fail_after(writes: int, patched: pytest.MonkeyPatch) -> None:
    """Let the disk be full after some writes."""
    left = iter(range(writes))
    for name in ("create", "replace", "delete"):
        real = getattr(writing, name)

        def limited(*words: object, real: object = real) -> None:
            if next(left, None) is None:
                raise OSError(28, "No space left on device", "a")
            real(*words)  # type: ignore[operator]

        patched.setattr(writing, name, limited)


# --- Versions ----------------------------------------------------------------


def test_a_state_of_a_newer_berth_is_refused() -> None:
    with pytest.raises(Refused, match=rf"was written by Berth 99\.0, and this is {__version__}, which is older"):
        state.check_version(State("99.0", {}, {}), STATE)


def test_a_state_without_a_version_is_refused() -> None:
    with pytest.raises(Refused, match="take it back from git"):
        state.check_version(State("?", {}, {}), STATE)
