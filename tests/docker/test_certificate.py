"""docker/balancer/certificate.sh: the certificate that the balancer of a trial shows."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "balancer" / "certificate.sh"


def run(given: Path, target: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script."""
    return subprocess.run(
        [SCRIPT, given, target],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def names(pem: Path) -> str:
    """Return the host names of a certificate."""
    line = ["openssl", "x509", "-in", pem, "-noout", "-ext", "subjectAltName"]
    return subprocess.check_output(line, text=True).splitlines()[1].strip()


def test_without_a_file_one_is_made_for_the_names_of_the_site(tmp_path: Path) -> None:
    target = tmp_path / "new.pem"
    made = run(Path("/dev/null"), target, ALLOWED_HOSTS="www.example.com, .example.org,localhost,*,a;b")

    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == "made a certificate for this trial, which no browser trusts: TLS_FILE names another\n"
    assert names(target) == (
        "DNS:localhost, IP Address:127.0.0.1, DNS:balancer, DNS:www.example.com, DNS:*.example.org"
    )
    assert "PRIVATE KEY-----" in target.read_text()


def test_the_file_that_is_given_is_taken_as_it_is(tmp_path: Path) -> None:
    given, target = tmp_path / "given.pem", tmp_path / "target.pem"
    run(Path("/dev/null"), given)

    made = run(given, target)

    assert (made.returncode, made.stdout) == (0, "took the certificate of TLS_FILE\n")
    assert target.read_bytes() == given.read_bytes()


@pytest.mark.parametrize("lacks", ["CERTIFICATE", "PRIVATE KEY"])
def test_a_file_without_both_is_refused(tmp_path: Path, lacks: str) -> None:
    given, target = tmp_path / "given.pem", tmp_path / "target.pem"
    run(Path("/dev/null"), given)
    given.write_text(given.read_text().replace(f"{lacks}-----", "NOTHING-----"))

    made = run(given, target)

    assert made.returncode == 65
    assert "TLS_FILE has to hold the certificate, its chain and its key" in made.stderr
    assert not target.exists()
