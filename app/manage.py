#!/usr/bin/env python
"""Django's command line."""

import sys

from app.environment import require_settings_module
from django.core.management import execute_from_command_line


def main() -> None:
    """Run the command that the arguments name."""
    if not any(argument.partition("=")[0] == "--settings" for argument in sys.argv):
        require_settings_module()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
