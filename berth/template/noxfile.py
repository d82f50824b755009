"""The checks of this project: `inv check` runs them all, `inv check NAME` one of them."""

from berth.sessions import test_in_container

__all__ = ["test_in_container"]
