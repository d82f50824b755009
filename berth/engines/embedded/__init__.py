"""The services without containers."""
