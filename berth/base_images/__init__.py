"""Base images from packages, for places without an image registry."""
