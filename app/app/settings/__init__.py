"""The settings: `local` to develop, `prod` to serve."""

import os

from app.environment import SETTINGS_MODULES, stop

# An empty settings module would be a green light that means nothing: `check` and `test` find nothing to
# complain about.
if os.environ.get("DJANGO_SETTINGS_MODULE") == __name__:
    stop(f"DJANGO_SETTINGS_MODULE is app.settings, which holds no settings: set it to {SETTINGS_MODULES}")
