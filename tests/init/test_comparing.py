"""What would be written, as a diff that `git apply` understands."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from berth.init.comparing import diff

BEFORE, AFTER = b"a\nb\nc\n", b"a\nB\x0c\nc"


@pytest.mark.parametrize(("before", "after"), [(BEFORE, AFTER), (AFTER, BEFORE), (None, BEFORE), (BEFORE, None)])
def test_git_applies_a_diff(tmp_path: Path, before: bytes | None, after: bytes | None) -> None:
    if before is not None:
        (tmp_path / "file").write_bytes(before)
    shown = diff(before, after, "file")
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=shown.encode(), check=True)
    assert ((tmp_path / "file").read_bytes() if (tmp_path / "file").exists() else None) == after


def test_nothing_is_shown_of_a_file_that_stays() -> None:
    assert diff(BEFORE, BEFORE, "file") == ""


def test_a_text_for_beside_a_file_goes_by_its_own_name() -> None:
    assert diff(BEFORE, AFTER, "file", "file.new").splitlines()[:2] == ["--- a/file", "+++ b/file.new"]
