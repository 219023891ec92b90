"""Guards the connections of one call, for libraries that use `requests` themselves.

A library may read a URL in its own way. This module checks each connection at the moment when it is
made. It resolves the name once, checks the addresses, and connects to a checked address, so that
the name cannot resolve differently in between (DNS rebinding). The guard belongs to the context
(contextvars) and to threads that copy it, as Apprise's do. It does not affect other calls.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from urllib3.util import connection

from notifications.infra.http.client import is_public

HTTPS = 443
HostPolicy = Callable[[str, int], frozenset[str] | None]
"""Decides on a host and port: None forbids it; else the private addresses that it may have."""


class HostRefused(OSError):
    """The call may not reach this host, or its name leads to an address that is not public."""


class GuardedCall:
    """The result of a guarded call. refused: it tried to connect to a forbidden host."""

    refused = False


_around: ContextVar[tuple[HostPolicy, GuardedCall] | None] = ContextVar("around", default=None)
_connect = connection.create_connection


def _checked_connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
    around = _around.get()
    if around is None:
        return _connect(address, *args, **kwargs)
    policy, guarded = around
    host, port = address[0].strip("[]"), address[1]
    also = policy(host, port)
    if also is None:
        guarded.refused = True
        raise HostRefused("not a host that may be called")
    found = [str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not all(each in also or is_public(each) for each in found):
        guarded.refused = True
        raise HostRefused("the host's name leads to an address that is not public")
    return _connect_to_one(found, port, args, kwargs)


def _connect_to_one(
    addresses: list[str], port: int, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> socket.socket:
    fault: OSError | None = None
    for each in dict.fromkeys(addresses):
        try:
            return _connect((each, port), *args, **kwargs)
        except OSError as error:
            fault = error
    raise fault or OSError("the name has no address")


connection.create_connection = _checked_connect


@contextmanager
def guard_connections(policy: HostPolicy | None) -> Iterator[GuardedCall]:
    """Within the block, `requests` connects only to hosts that `policy` allows; None allows all."""
    guarded = GuardedCall()
    token = _around.set((policy, guarded) if policy else None)
    try:
        yield guarded
    finally:
        _around.reset(token)
