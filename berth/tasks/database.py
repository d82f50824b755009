"""Look after the database."""

from __future__ import annotations

from invoke import Context, task

from berth import engines


@task(help={"yes": "Do not ask."})
def reset_db(c: Context, yes: bool = False) -> None:
    """Delete the application's database, make it anew and bring the stack back, migrated."""
    engines.of(c).reset_db(c, yes=yes)
