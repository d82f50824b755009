"""What is new for users between two versions."""

from __future__ import annotations

from textwrap import dedent

from berth.init import changelog

TEXT = dedent("""\
    # Changelog

    - no entry

    ## [Unreleased]

    ### Added

    - Sings.
    - Dances,
      in two lines.

    ## [0.3.0] - 2027-01-02

    ### Fixed

    - Stands.

    ## [0.2.0] - 2026-12-24

    ### Added

    - Walks.
    """)
RELEASED = TEXT.replace("## [Unreleased]", "## [0.4.0]")


def test_all_versions_since_are_shown() -> None:
    shown = changelog.between(RELEASED, "0.2.0", "0.4.0", changelog.digests(RELEASED, "0.2.0"))
    assert shown == (
        "## 0.4.0\n\n### Added\n\n- Sings.\n- Dances,\n  in two lines.\n\n## 0.3.0\n\n### Fixed\n\n- Stands."
    )


def test_what_is_not_released_is_not_of_a_version_that_is() -> None:
    assert changelog.between(TEXT, "0.2.0", "0.3.0", changelog.digests(TEXT, "0.2.0")).startswith("## 0.3.0")


def test_of_two_builds_before_a_release_the_entries_are_compared() -> None:
    before = TEXT.replace("- Sings.\n", "")
    known = changelog.digests(before, "0.4.0")
    assert changelog.between(TEXT, "0.4.0", "0.4.0", known) == "## Unreleased\n\n### Added\n\n- Sings."


def test_a_release_shows_what_the_last_build_before_it_had_not() -> None:
    known = changelog.digests(TEXT.replace("- Sings.\n", ""), "0.4.0")
    assert changelog.between(RELEASED, "0.4.0", "0.4.0", known) == "## 0.4.0\n\n### Added\n\n- Sings."


def test_nothing_is_new_in_the_same_version() -> None:
    assert changelog.between(TEXT, "0.3.0", "0.3.0", changelog.digests(TEXT, "0.3.0")) == ""


def test_the_changelog_of_this_berth_has_entries() -> None:
    assert len(changelog.digests(changelog.text(), "0.1.0")) > 20
