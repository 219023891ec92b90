"""Servers on the loop of a thread: they end with every connection closed."""

from __future__ import annotations

import gc
import socket
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from notifications.testing.http_sink import HTTPSink
from notifications.testing.smtp_sink import SMTPSink
from tests.clients.inbox_server import InboxServer

ROUNDS = 20
Started = Callable[[], AbstractContextManager[Any]]


def port_of(server: Any) -> int:
    return int(server.home.rpartition(":")[2] if isinstance(server, InboxServer) else server.port)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(lambda: SMTPSink().run_in_thread(), id="smtp"),
        pytest.param(lambda: HTTPSink().run_in_thread(), id="http"),
        pytest.param(lambda: InboxServer().running(), id="inbox"),
    ],
)
def test_a_server_that_ends_while_it_accepts_leaves_no_socket_open(start: Started) -> None:
    """The collector would find them later, in a test that has no part in it."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for number in range(ROUNDS):
            with ExitStack() as clients:
                with start() as server:
                    port = port_of(server)
                    for _ in range(3):
                        client = socket.create_connection(("127.0.0.1", port), timeout=20)
                        clients.enter_context(client)
                    if number % 2:
                        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        gc.collect()
    assert [str(each.message) for each in found] == []
