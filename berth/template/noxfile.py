"""The checks of this project: `inv check` runs them all, `inv check NAME` one of them."""

from berth.sessions import migrations, test_in_container

__all__ = ["migrations", "test_in_container"]
