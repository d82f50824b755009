"""Ports that are free are told from those that are not."""

from __future__ import annotations

import socket

import pytest

from berth import ports


def test_a_port_that_something_listens_on_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ports.is_taken("127.0.0.1", port)
    assert not ports.is_taken("127.0.0.1", port)


def test_a_port_of_all_addresses_is_taken_on_each() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert ports.is_taken("127.0.0.1", server.getsockname()[1])


def test_the_next_free_port_is_neither_taken_nor_meant_for_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        found = ports.free_from(taken, avoid={taken + 1})
        assert found > taken + 1
        assert not ports.is_taken("127.0.0.1", found)


def test_no_free_port_is_an_error() -> None:
    with pytest.raises(ports.AllTaken, match=r"^every port of 127\.0\.0\.1 from 65535 on is taken: free one of them$"):
        ports.free_from(65535, avoid={65535})
