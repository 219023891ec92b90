"""Where the current request came from, so that services need not pass it down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """The client of a request; empty texts outside of one."""

    ip: str = ""
    user_agent: str = ""


_NONE = RequestOrigin()
_current: ContextVar[RequestOrigin] = ContextVar("request_origin", default=_NONE)


def current_origin() -> RequestOrigin:
    """Returns the origin of the request that this thread serves."""
    return _current.get()


@contextmanager
def request_from(*, ip: str, user_agent: str) -> Iterator[None]:
    """Sets the origin within the block."""
    token = _current.set(RequestOrigin(ip, user_agent))
    try:
        yield
    finally:
        _current.reset(token)
