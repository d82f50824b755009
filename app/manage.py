#!/usr/bin/env python
"""Django's command line."""

import sys

from django.core.management import execute_from_command_line


def main() -> None:
    """Run the command that the arguments name."""
    if not any(argument.partition("=")[0] == "--settings" for argument in sys.argv):
        # Not before: importing `app` makes the Celery app, which needs to know the settings module.
        from app.environment import require_settings_module

        require_settings_module()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
