"""Write the URL of a database."""

from __future__ import annotations

from berth.redaction import HIDDEN


def url(*, user: str, password: str | None, address: str, name: str) -> str:
    """Return the URL that libpq and Django's libraries take; each part quoted as RFC 3986 asks.

    :param password: None: it is hidden.
    :param address: `host:port`.
    """
    from urllib.parse import quote  # not at every start of `inv`

    shown = HIDDEN if password is None else quote(password, safe="")
    return f"postgresql://{quote(user, safe='')}:{shown}@{address}/{quote(name, safe='')}"
