"""The services in containers."""
