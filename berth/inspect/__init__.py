"""Find the facts of a Django project from its files alone.

Nothing of the project is imported or run, nobody is asked, no process starts. `facts` is the way in; `rendering` writes
what it returns.
"""

from __future__ import annotations

from berth.inspect.collecting import facts
from berth.inspect.model import Alternative, Certainty, Fact, Facts, Place, Value

__all__ = ["Alternative", "Certainty", "Fact", "Facts", "Place", "Value", "facts"]
