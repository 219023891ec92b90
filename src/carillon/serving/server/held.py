"""Counts the connections that last for minutes: sockets, streams and long polls.

They have bounds of their own, and do not count as connections of requests. All state belongs to the
event loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Held:
    """The connections of this process."""

    count = 0


@contextmanager
def held() -> Iterator[None]:
    """Counts a connection within the block."""
    Held.count += 1
    try:
        yield
    finally:
        Held.count -= 1
