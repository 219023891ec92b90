"""A wall around the connections of one call, for libraries that call by `requests` themselves.

What a library makes of a URL is its own affair; where a connection leads is decided here, at the
moment it is made. The name is resolved once and judged, and the connection goes to the address that
was judged, so that a name cannot answer otherwise in between (DNS rebinding). The wall belongs to
the context (contextvars) and goes along to threads that copy it, as Apprise's do; other calls
notice nothing.
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
"""Of a host and port: None when it may not be called, else the addresses that it may have besides
public ones."""


class HostRefused(OSError):
    """The call may not reach this host, or its name leads to an address that is not public."""


class GuardedCall:
    """What became of a walled call. refused: it wanted to go where it may not."""

    refused = False


_around: ContextVar[tuple[HostPolicy, GuardedCall] | None] = ContextVar("around", default=None)
_connect = connection.create_connection


def _checked_connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
    around = _around.get()
    if around is None:
        return _connect(address, *args, **kwargs)
    judge, walled = around
    host, port = address[0].strip("[]"), address[1]
    also = judge(host, port)
    if also is None:
        walled.refused = True
        raise HostRefused("not a host that may be called")
    found = [str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not all(each in also or is_public(each) for each in found):
        walled.refused = True
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
def guard_connections(judge: HostPolicy | None) -> Iterator[GuardedCall]:
    """Inside, calls by `requests` connect only as `judge` says; None: wherever they want."""
    walled = GuardedCall()
    token = _around.set((judge, walled) if judge else None)
    try:
        yield walled
    finally:
        _around.reset(token)
