"""Say which ports of the services something else listens on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from berth import ports
from berth.compose.config import Stack


def report(
    stack: Stack, names: Sequence[str], written: Callable[[], Stack | None], *, host: str | None = None
) -> list[str]:
    """Return a sentence for each port of the services ``names`` that is taken: by whom, and what to type.

    :param written: returns the services with their `${VARIABLES}`, or None where Compose cannot say.
    :param host: the address that all of them are to listen on, whatever the files say.
    """
    taken = [
        (service, position, host or address, int(port))
        for service in names
        for position, (address, port) in enumerate(stack.published(service))
        if port.isdigit() and ports.is_taken(host or address, int(port))
    ]
    if not taken:
        return []
    as_written = written()
    given: set[int] = set()
    sentences = []
    for service, position, address, port in taken:
        free = ports.free_from(port + 1, avoid=given)
        given.add(free)
        variable = as_written and as_written.port_variable(service, position)
        cure = f"set {variable}={free} in .env" if variable else f"publish {free} in the compose file"
        who = ports.holder(address, port) or "another program"
        sentences.append(f"port {port} of {address}, for {service}, is taken by {who}: end that, or {cure}")
    return sentences
