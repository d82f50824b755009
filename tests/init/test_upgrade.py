"""`berth upgrade` as a command, from the wheel of an earlier Berth to that of this one.

The earlier one is that of the last commit, or what BERTH_UPGRADE_FROM names, where git knows it; a shallow clone does
not. Two neighbours rarely differ in what they write, so a second one is made of this wheel: with other lines in what it
writes, a file more, a file less, and an entry less in its changelog.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from init import shapes
from installed import ROOT, build

from berth import __version__

ROUNDS = int(os.environ.get("BERTH_UPGRADE_ROUNDS", "40")) // 20
EARLIER = os.environ.get("BERTH_UPGRADE_FROM", "HEAD^")
BESIDE = ".berth-new"
GONE, NEW = "docker/db/gone.sh", "docker/db/set-password.sh"
EDITED = ("docker/db/check-db.sh", "docker/db/dump.sh", "docker/app/entrypoint.sh", "docker/db/psql-init/db.sql")
OLD_LINE = "# This line was in the earlier Berth only."


class Wheels(NamedTuple):
    """Folders of unpacked wheels, by what they are of."""

    this: Path
    patched: Path
    commit: Path | None


class Shop(NamedTuple):
    """A project in git, and whichever Berth it is told to run with."""

    root: Path

    def berth(self, wheel: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "berth", *words], cwd=self.root, env={**os.environ, "PYTHONPATH": str(wheel)},
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    def ok(self, wheel: Path, *words: str) -> str:
        done = self.berth(wheel, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def git(self, *words: str) -> str:
        line = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.check_output(line, cwd=self.root, text=True)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "All")

    def contents(self) -> dict[str, bytes]:
        found = self.git("ls-files", "-z", "--cached", "--others").split("\0")
        return {path: (self.root / path).read_bytes() for path in found if path and (self.root / path).is_file()}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    base = tmp_path_factory.mktemp("wheels")
    this = _unpacked(build(base / "built"), base / "this")
    return Wheels(this, _patched(this, base / "patched"), _of_commit(base))


def _unpacked(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def _patched(this: Path, folder: Path) -> Path:
    """Make the wheel of an earlier version."""
    package = Path(shutil.copytree(this, folder)) / "berth"
    for name in EDITED:
        path = package / "template" / name
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines[:4], OLD_LINE, *lines[4:-6], OLD_LINE, *lines[-6:]]) + "\n")
    (package / "template" / GONE).write_text("#!/bin/sh\n")
    (package / "template" / NEW).unlink()
    version = package / "__init__.py"
    version.write_text(version.read_text().replace(__version__, "0.0.1"))
    changelog = package / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("- `berth upgrade` ", "- Another thing "))
    return folder


def _of_commit(base: Path) -> Path | None:
    known = subprocess.run(["git", "rev-parse", "--verify", "--quiet", EARLIER], cwd=ROOT, capture_output=True)
    if known.returncode != 0:
        return None
    source = base / "source"
    source.mkdir()
    archive = subprocess.check_output(["git", "archive", "--format=tar", EARLIER], cwd=ROOT)
    subprocess.run(["tar", "--extract"], cwd=source, input=archive, check=True)
    return _unpacked(build(base / "built-earlier", source), base / "earlier")


@pytest.fixture(params=["patched", "commit"])
def earlier(request: pytest.FixtureRequest, wheels: Wheels) -> Path:
    found = getattr(wheels, request.param)
    if found is None:
        pytest.skip(f"git knows no {EARLIER}: the clone is shallow")
    return Path(found)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(shapes.write(tmp_path / "shop", shapes.project(shapes.SEPARATE, more=shapes.REQUIREMENTS)))
    made.git("init", "--quiet")
    made.commit()
    yield made


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_edits_of_any_kind_survive_and_all_else_is_as_this_berth_writes_it(
    shop: Shop, wheels: Wheels, earlier: Path, seed: int
) -> None:
    theirs = shop.contents()
    fresh = Shop(Path(shutil.copytree(shop.root, shop.root.parent / "fresh" / "shop")))
    fresh.ok(wheels.this, "init")
    shop.ok(earlier, "init")
    written = sorted(shop.contents().keys() - theirs.keys() - {"docker/berth.json"})
    edits, deleted = _edit(shop.root, written, random.Random(seed))
    shop.commit()
    before = shop.contents()
    done = shop.berth(wheels.this, "upgrade")
    after = shop.contents()
    beside = {path for path in after if path.endswith(BESIDE)}
    assert done.returncode == (1 if beside else 0), done.stderr
    assert all(path in done.stderr for path in beside)
    for path, token in edits:
        assert after[path].decode().split("\n").count(token) == 1, path
    assert not any(b"<<<<<<<" in after[path] or b">>>>>>>" in after[path] for path in written if path in after)
    assert deleted.isdisjoint(after)
    assert {path: after[path] for path in theirs} == theirs
    assert {path for path in beside if before[path.removesuffix(BESIDE)] != after[path.removesuffix(BESIDE)]} == set()
    untouched = fresh.contents().keys() - {path for path, _ in edits} - deleted - {"docker/berth.json"}
    assert {path: after.get(path) for path in untouched} == {path: fresh.contents()[path] for path in untouched}
    for path in beside:
        (shop.root / path).unlink()
    assert "changed nothing" in shop.ok(wheels.this, "upgrade")
    assert {path: text for path, text in after.items() if path not in beside} == shop.contents()


def _edit(root: Path, written: list[str], chance: random.Random) -> tuple[list[tuple[str, str]], set[str]]:
    """Add lines anywhere, some right beside those that a version changes, take some away, and delete a file.

    :returns: the added lines by file; the files that are gone.
    """
    gone = set(chance.sample(written, 1))
    edits = []
    touched = chance.sample(written, len(written) // 2)
    for number, path in enumerate([*touched, *(path for path in EDITED if chance.random() < 0.7)]):
        if path in gone or path == GONE:
            continue
        lines = (root / path).read_text().split("\n")
        near = [at for at, line in enumerate(lines) if line == OLD_LINE and chance.random() < 0.5]
        at = chance.choice(near) + chance.choice([-3, -1, 0, 1, 3]) if near else chance.randrange(len(lines))
        if chance.random() < 0.2 and not lines[at].startswith("# mine"):
            del lines[at]
        edits.append((path, f"# mine {number}"))
        lines.insert(at, f"# mine {number}")
        (root / path).write_text("\n".join(lines))
    for path in gone:
        (root / path).unlink()
    return edits, gone


def test_an_upgrade_shows_what_is_new_and_what_becomes_of_each_file(shop: Shop, wheels: Wheels) -> None:
    shop.ok(wheels.patched, "init")
    shop.commit()
    shown = shop.ok(wheels.this, "upgrade")
    assert shown.startswith(f"from Berth 0.0.1 to {__version__}\n")
    assert "- `berth upgrade` " in shown
    assert "./inv up` takes a fresh clone" not in shown
    assert f"deleted       {GONE}" in shown
    assert f"added         {NEW}" in shown
    assert f"replaced      {EDITED[0]}" in shown
    shop.ok(wheels.this, "init", "--check")


def test_a_dry_run_shows_the_diff_that_the_upgrade_makes_and_writes_nothing(shop: Shop, wheels: Wheels) -> None:
    shop.ok(wheels.patched, "init")
    shop.commit()
    shown = shop.ok(wheels.this, "upgrade", "--dry-run")
    assert shop.git("status", "--porcelain") == ""
    diff = shown[shown.index("\n--- a/") + 1 :]
    subprocess.run(["git", "apply", "-"], cwd=shop.root, input=diff, text=True, check=True)
    applied = shop.contents()
    shop.git("stash", "--quiet", "--include-untracked")
    shop.ok(wheels.this, "upgrade")
    after = shop.contents()
    del applied["docker/berth.json"], after["docker/berth.json"]
    assert applied == after


def test_where_nothing_was_written_an_upgrade_says_so(shop: Shop, wheels: Wheels) -> None:
    done = shop.berth(wheels.this, "upgrade")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "was written by `berth init`, or its berth.json is gone" in done.stderr


def test_a_state_of_a_newer_berth_is_left_alone(shop: Shop, wheels: Wheels) -> None:
    shop.ok(wheels.this, "init")
    before = shop.contents()
    for words in (("upgrade",), ("init",), ("init", "--check"), ("init", "--remove")):
        done = shop.berth(wheels.patched, *words)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert "which is older: install Berth" in done.stderr
        assert shop.contents() == before


def test_without_git_nothing_is_upgraded(shop: Shop, wheels: Wheels) -> None:
    shop.ok(wheels.this, "init")
    shutil.rmtree(shop.root / ".git")
    done = shop.berth(wheels.this, "upgrade")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "is in no git repository" in done.stderr
