"""What fetch.py says where ElasticMQ's jars cannot be had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from berth.base_images import builder

RECIPE = builder.RECIPES / "elasticmq"


def fetch(folder: Path) -> subprocess.CompletedProcess[str]:
    """Fetch the jars where no repository can be reached; the cache is ``folder``/m2."""
    settings = folder / "jgo.conf"
    settings.write_text("[repositories]\ncentral = http://127.0.0.1:9/\n")
    variables = os.environ | {"JGO_CONFIG_FILE": str(settings), "M2_REPO": str(folder / "m2")}
    line = [sys.executable, RECIPE / "fetch.py", RECIPE / "jgo.lock.toml", folder / "elasticmq"]
    return subprocess.run(line, env=variables, capture_output=True, text=True, check=False, timeout=60)


def test_jars_that_cannot_be_had_have_an_exit_code_of_their_own(tmp_path: Path) -> None:
    made = fetch(tmp_path)
    assert (made.returncode, made.stdout) == (69, "")
    head, first, rest = made.stderr.splitlines()
    assert head == f"cannot fetch the jars of {RECIPE}/jgo.lock.toml:"
    assert first.startswith("elasticmq-server_2.13-1.7.1.jar: ")
    assert rest == "and 38 more"


def test_a_jar_that_is_wrong_is_no_jar_that_cannot_be_had(tmp_path: Path) -> None:
    jar = tmp_path / "m2/org/elasticmq/elasticmq-server_2.13/1.7.1/elasticmq-server_2.13-1.7.1.jar"
    jar.parent.mkdir(parents=True)
    jar.write_text("not this one")
    made = fetch(tmp_path)
    assert made.returncode == 1
    assert f"\n{jar}: sha256 is " in made.stderr
