"""Docker Compose: the lines that are typed, and what it answers."""
