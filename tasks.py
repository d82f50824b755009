"""The tasks of this project: `inv --list` shows them."""

from berth.tasks import collection

namespace = collection(__file__)
