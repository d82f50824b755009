"""install-requirements.sh: which part of a lock is installed before the rest, in a layer of its own."""

import subprocess
from pathlib import Path

from servers import APP

LOCK = """\
# made by a tool
amqp==5.4 \\
    --hash=sha256:aa
    # via kombu
django==5.2 ; python_version >= '3.10' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via
    #   -r base.in
django-csp==4.0 \\
    --hash=sha256:dd
django==4.2 ; python_version < '3.10' \\
    --hash=sha256:ee
"""


def pick(folder: Path, lock: str, *names: str) -> str:
    (folder / "lock.txt").write_text(lock)
    line = ["bash", str(APP / "install-requirements.sh"), "--pick", str(folder / "lock.txt"), *names]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout


def test_the_named_packages_are_picked_with_their_hashes_and_without_comments(tmp_path: Path) -> None:
    assert pick(tmp_path, LOCK, "botocore", "django") == (
        "django==5.2 ; python_version >= '3.10' \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
        "django==4.2 ; python_version < '3.10' \\\n    --hash=sha256:ee\n"
    )


def test_another_package_that_is_added_or_wants_them_changes_nothing(tmp_path: Path) -> None:
    before = pick(tmp_path, LOCK, "django")
    more = (
        LOCK.replace("    #   -r base.in\n", "    #   -r base.in\n    #   new\n") + "new==1 \\\n    --hash=sha256:ff\n"
    )
    assert pick(tmp_path, more, "django") == before


def test_a_lock_without_them_gives_nothing(tmp_path: Path) -> None:
    assert pick(tmp_path, LOCK, "botocore") == ""
