"""`inv test-in-container`: a stack of its own, reports on the host, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import xml.etree.ElementTree
from collections.abc import Iterator

import pexpect
import pytest
from containers.checkout import Checkout, checkout, ok

pytestmark = pytest.mark.containers

TESTS = """
import time

import pytest
from django.db import connection


@pytest.mark.django_db
@pytest.mark.parametrize("number", [1, 2])
def test_real_database(number, worker_id):
    assert connection.vendor == "postgresql"
    assert connection.settings_dict["NAME"].startswith("test_")
    if worker_id != "master":
        assert connection.settings_dict["NAME"].endswith(f"_{worker_id}")
        assert connection.settings_dict["TEST"]["TEMPLATE"].endswith("_template")
        # As when the template was migrated: copies have its times.
        with connection.cursor() as cursor:
            cursor.execute("SELECT max(applied) < (SELECT min(backend_start) FROM pg_stat_activity "
                "WHERE datname = current_database()) FROM django_migrations")
            assert cursor.fetchone() == (True,)


def test_that_fails():
    assert 6 * 7 == 41


def test_that_takes_long():
    print("I BEGIN")
    time.sleep(300)
"""


@pytest.fixture(scope="module")
def project(engine: None) -> Iterator[Checkout]:
    """A checkout of another user than root, where that is possible; its stack is down."""
    with checkout("1000:1000" if os.geteuid() == 0 else None) as made:
        made.prepare()
        folder = made.root / "app/probe"
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "test_probe.py").write_text(TESTS)
        made.own(folder)
        yield made


def throw_away(project: Checkout) -> list[str]:
    return project.leftovers(f"{project.name}-test-")


@pytest.mark.parametrize("image", ["dev", "test"])
def test_the_tests_that_were_asked_for_run_inside_and_leave_their_reports(project: Checkout, image: str) -> None:
    """By two workers, on copies of one database that was migrated once."""
    ok(project.inv("test-in-container", "--image", image, "--", "-n", "2", "-k", "test_real_database", "probe"))
    junit, coverage = (project.root / f"reports/{name}-{image}.xml" for name in ("junit", "coverage"))
    cases = xml.etree.ElementTree.parse(junit).getroot().iter("testcase")
    assert {case.get("name") for case in cases} == {"test_real_database[1]", "test_real_database[2]"}
    assert float(xml.etree.ElementTree.parse(coverage).getroot().get("line-rate", "0")) > 0
    if project.user:
        for path in (junit, coverage, project.root / "reports"):
            assert f"{path.stat().st_uid}:{path.stat().st_gid}" == project.user
    assert throw_away(project) == []


def test_a_test_that_fails_fails_the_task(project: Checkout) -> None:
    made = project.inv("test-in-container", "--", "-k", "test_that_fails", "probe")
    assert made.returncode == 1
    assert "assert (6 * 7) == 41" in made.stdout
    assert throw_away(project) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_after_the_run_is_stopped(project: Checkout, number: signal.Signals) -> None:
    child = project.spawn(
        project.task("test-in-container", "--", "-s", "-k", "test_that_takes_long", "probe"), timeout=120
    )
    child.expect("I BEGIN")
    assert len(throw_away(project)) > 5
    if number == signal.SIGINT:
        child.sendintr()
    else:
        os.kill(child.pid, number)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus not in (0, None) or child.signalstatus == number
    assert "Traceback" not in re.sub(r"(?s).*\$? docker compose down", "", child.before)
    assert throw_away(project) == []


def test_an_unknown_image_is_refused(project: Checkout) -> None:
    made = project.inv("test-in-container", "--image", "nothing")
    assert made.returncode == 1
    assert made.stderr == "no image `nothing` to test in: type `--image dev` or `--image test`\n"
