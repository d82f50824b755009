"""What a release is called, and what is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.compose.release import Facts, Release, release, without_password
from berth.errors import Refused

COMMIT = "0123456789abcdef0123456789abcdef01234567\n"
CLEAN = Facts(COMMIT, "", "2026-11-24T20:00:00+00:00\n", "v1.4.0\n", "git@example.com:shop.git\n")


def made(facts: Facts = CLEAN, *, version: str | None = None, dirty: bool = False) -> Release:
    return release(facts, version=version, dirty=dirty, command="./inv")


def test_a_release_has_the_names_of_its_commit_and_of_its_git_tag() -> None:
    assert made().images("shop-app", "") == ["shop-app:0123456789ab", "shop-app:v1.4.0"]
    assert made(version="2.0").images("shop-app", "reg.example.com/team/") == [
        "reg.example.com/team/shop-app:0123456789ab",
        "reg.example.com/team/shop-app:2.0",
    ]
    assert made(CLEAN._replace(version="")).images("shop-app", "") == ["shop-app:0123456789ab"]


def test_labels_are_those_of_the_commit_so_that_they_are_the_same_each_time() -> None:
    assert made().variables() == {
        "BUILD_TARGET": "prod",
        "BUILD_REVISION": "0123456789ab",
        "BUILD_VERSION": "v1.4.0",
        "BUILD_CREATED": "2026-11-24T20:00:00+00:00",
        "BUILD_SOURCE": "git@example.com:shop.git",
    }


def test_what_is_not_committed_is_released_only_when_told_and_is_no_version() -> None:
    facts = CLEAN._replace(changes="".join(f" M app/{number}.py\n" for number in range(7)))
    with pytest.raises(Refused) as refused:
        made(facts)
    assert refused.value.message == (
        "what is not committed could not be built again: commit it, or type `./inv release --dirty`\n"
        "   M app/0.py\n   M app/1.py\n   M app/2.py\n   M app/3.py\n   M app/4.py\n  and 2 more"
    )
    assert made(facts, dirty=True).images("shop-app", "") == ["shop-app:0123456789ab-dirty"]


def test_a_folder_without_a_commit_cannot_be_released() -> None:
    with pytest.raises(Refused, match="there is no commit to release: type `git init`"):
        made(Facts("", "", "", "", ""), dirty=True)


@pytest.mark.parametrize("version", ["1 0", "-1", ".1", "a/b", "1:0", "x" * 129, "é"])
def test_a_version_that_no_image_can_have_is_refused(version: str) -> None:
    with pytest.raises(Refused, match=f"`{re.escape(version)}` cannot be the tag of an image"):
        made(version=version)


@given(user=st.from_regex(r"[a-z]{1,9}(:[!-.0-9<-~]{1,20})?", fullmatch=True).filter(lambda text: "[" not in text))
def test_no_password_of_a_remote_comes_into_a_label(user: str) -> None:
    if set("?#/\\[]") & set(user):
        return
    assert without_password(f"https://{user}@git.example.com/shop.git") == "https://git.example.com/shop.git"


@pytest.mark.parametrize(
    "source", ["", "git@example.com:shop.git", "/srv/shop.git", "https://git.example.com/shop.git"]
)
def test_other_remotes_stay_as_they_are(source: str) -> None:
    assert without_password(source) == source
