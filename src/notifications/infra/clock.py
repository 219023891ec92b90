"""Reads the clock. Entry points read it and pass the time down; tests freeze it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from notifications.infra import ports

_read: Callable[[], datetime] | None = None


def now() -> datetime:
    """Returns the current time, aware, in UTC."""
    return _read() if _read else ports.utc_now()


def frozen() -> datetime | None:
    """Returns the replaced time, or None: then the database's clock decides what is due."""
    return _read() if _read else None


def monotonic() -> float:
    """Returns seconds on a clock that never jumps; for deadlines, never for dates."""
    return ports.monotonic()


def epoch_ms(moment: datetime) -> int:
    """Unix milliseconds of an aware datetime."""
    return int(moment.timestamp() * 1000)


def from_epoch_ms(milliseconds: int) -> datetime:
    """The reverse of `epoch_ms`, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


@contextmanager
def reading(read: Callable[[], datetime]) -> Iterator[None]:
    """Replaces the clock within the block (tests; notifications.testing.FrozenClock)."""
    global _read
    previous, _read = _read, read
    try:
        yield
    finally:
        _read = previous
