"""Without containers, too, Berth is installed beside a project that Django has just made, and drives it."""

from __future__ import annotations

from new_project import drive, new_project


def test_a_fresh_django_project_is_driven_with_variables_only() -> None:
    with new_project() as shop:
        shop.environment["BERTH_ENGINE"] = "embedded"
        drive(shop)
