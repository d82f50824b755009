from django.apps import AppConfig
from django.conf import settings


class StatusConfig(AppConfig):
    name = "status"

    def ready(self) -> None:
        """Connect the receivers of signals, as Django's documentation has it; nobody reads the rows in production."""
        if settings.DEBUG:
            from status import heartbeat  # noqa: F401
