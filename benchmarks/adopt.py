"""Measure how far `berth init --verify` brings public projects that nobody here wrote.

    python benchmarks/adopt.py LIST [--folder FOLDER] [--mirror FOLDER] [--base-images] [--only NAME]

LIST has a project on each line, `OWNER/NAME COMMIT [ANSWER=VALUE ...]`; `#` begins a comment. Each one is fetched at
its commit, gets its files with `--yes` and the answers of its line, and is tried on the Docker engine of this machine.
Levels: L1 the plan is made, L2 the image builds, L3 check and migrate pass on the database, L4 a page answers 200, L5
workers run.

The table, in Markdown, has the repository, the commit, the level, the minutes, and the reason where it did not pass.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

LIMIT_S = 1200
"""Of one project."""
BERTH = [sys.executable, "-m", "berth"]


class Project(NamedTuple):
    """A line of the list."""

    repository: str
    commit: str
    answers: tuple[str, ...]


class Result(NamedTuple):
    """A row of the table."""

    project: Project
    level: str
    minutes: float
    reason: str
    tracked: str


def main() -> None:
    """Try all projects of a list, and print the table."""
    options = _options()
    lines = [line.partition("#")[0].split() for line in options.list.read_text(encoding="utf-8").splitlines()]
    projects = [Project(words[0], words[1], tuple(words[2:])) for words in lines if words]
    chosen = [each for each in projects if not options.only or options.only in each.repository]
    options.folder.mkdir(parents=True, exist_ok=True)
    print("| repository | commit | level | minutes | tracked files changed | reason |", flush=True)
    print("|---|---|---|---|---|---|", flush=True)
    for each in chosen:
        found = _tried(each, options)
        print(
            f"| {each.repository} | {each.commit[:10]} | {found.level} | {found.minutes:.1f} | {found.tracked} "
            f"| {found.reason} |",
            flush=True,
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("list", type=Path)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "adopt", help="where to work")
    parser.add_argument("--mirror", type=Path, help="a folder of bare repositories, OWNER+NAME/repo")
    parser.add_argument("--base-images", action="store_true", help="build base images from packages: no registry")
    parser.add_argument("--prefer-python", default="", help="this version where the project allows it")
    parser.add_argument("--only", default="", help="projects whose name has this in it")
    return parser.parse_args()


def _tried(project: Project, options: argparse.Namespace) -> Result:
    """Return how far a project comes."""
    started = time.monotonic()
    root = options.folder / project.repository.replace("/", "-").lower().replace(".", "-")
    log = options.folder / f"{root.name}.log"
    before: set[str] = set()
    with log.open("w", encoding="utf-8") as out:
        try:
            if not root.exists():
                _fetch(project, root, options.mirror)
            # What the mirror lacks is missing from the start.
            before = _changed(root)
            level, reason = _steps(project, root, options, log, out)
        except subprocess.TimeoutExpired:
            level, reason = _level(log), f"not done after {LIMIT_S // 60} minutes"
        finally:
            subprocess.run(["docker", "compose", "down", "--volumes"], cwd=root, capture_output=True)
    changed = len(_changed(root) - before)
    return Result(project, level, (time.monotonic() - started) / 60, reason, str(changed))


def _changed(root: Path) -> set[str]:
    """Return what `git status` says of tracked files."""
    line = ["git", "status", "--porcelain", "--untracked-files=no"]
    return set(subprocess.run(line, cwd=root, capture_output=True, text=True).stdout.splitlines())


def _fetch(project: Project, root: Path, mirror: Path | None) -> None:
    """Check a project out at its commit."""
    bare = mirror / project.repository.replace("/", "+") / "repo" if mirror else None
    source = str(bare) if bare else f"https://github.com/{project.repository}.git"
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    if bare:
        # A mirror may lack large files, which `git fetch` would refuse it for.
        (root / ".git" / "objects" / "info" / "alternates").write_text(f"{bare}/objects\n", encoding="utf-8")
    else:
        subprocess.run(["git", "fetch", "--quiet", "--depth=1", source, project.commit], cwd=root, check=True)
    subprocess.run(["git", "read-tree", project.commit], cwd=root, check=True)
    subprocess.run(["git", "checkout-index", "--all", "--quiet"], cwd=root, capture_output=True)
    subprocess.run(["git", "update-ref", "HEAD", project.commit], cwd=root, check=True)


def _steps(project: Project, root: Path, options: argparse.Namespace, log: Path, out: object) -> tuple[str, str]:
    """Run the commands of an adopter, and return the level and the reason."""
    answers = [*project.answers, *_python(root, options.prefer_python)]
    words = [word for answer in answers for word in ("--answer", answer)]
    for line in (
        [*BERTH, "init", "--yes", *words],
        *([[*BERTH, "images.base"]] * options.base_images),
        [*BERTH, "init", "--verify"],
    ):
        done = subprocess.run(line, cwd=root, stdout=out, stderr=out, stdin=subprocess.DEVNULL, timeout=LIMIT_S)  # type: ignore[call-overload]
        if done.returncode != 0:
            last = [each for each in log.read_text(encoding="utf-8").splitlines() if each.strip()]
            said = [each for each in last if each.startswith(("came to ", "cannot, "))]
            return _level(log), (said or last or ["nothing was said"])[-1].replace("|", "/")[:300]
    return _level(log), ""


def _python(root: Path, version: str) -> list[str]:
    """Return an answer for the version of Python, where the project allows the wanted one."""
    if not version:
        return []
    done = subprocess.run([*BERTH, "inspect", "--json"], cwd=root, capture_output=True, text=True)
    facts = {fact["name"]: fact["value"] for fact in json.loads(done.stdout)["facts"]}
    return [f"python={version}"] * (version in (facts.get("python") or {}).get("allowed", ()))


def _level(log: Path) -> str:
    """Return the highest level that a log speaks of."""
    text = log.read_text(encoding="utf-8")
    passed = re.findall(r"^(L\d) passed", text, re.M)
    return passed[-1] if passed else ("L1" if re.search(r"^wrote \d+ files", text, re.M) else "none")


if __name__ == "__main__":
    main()
