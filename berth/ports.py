"""Find out which ports of this machine are free."""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection

from berth.errors import Refused

LAST = 65535


class AllTaken(Refused):
    """No port is free; the message says where."""


def is_taken(host: str, port: int) -> bool:
    """Tell whether something listens there already."""
    with socket.socket() as candidate:
        # Or a connection that has just been closed would count.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def free_from(port: int, *, host: str = "127.0.0.1", avoid: Collection[int] = ()) -> int:
    """Return the first free port from ``port`` on.

    :param avoid: ports that are meant for something else.
    :raises AllTaken: none is free.
    """
    for candidate in range(port, LAST + 1):
        if candidate not in avoid and not is_taken(host, candidate):
            return candidate
    raise AllTaken(f"every port of {host} from {port} on is taken: free one of them")


def holder(host: str, port: int) -> str | None:
    """Return name and pid of the process that listens there, if this user may know it."""
    import psutil  # not at every start of `inv`

    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None
    anywhere = {(address, port) for address in (host, "0.0.0.0", "::")}
    for connection in connections:
        here = connection.laddr and (connection.laddr.ip, connection.laddr.port)
        if connection.status == psutil.CONN_LISTEN and connection.pid and here in anywhere:
            return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None
