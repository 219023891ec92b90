"""Transactions with a limit for waits on locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction


@contextmanager
def transaction_with_lock_timeout(seconds: float) -> Iterator[None]:
    """Opens a transaction that waits no longer than `seconds` for each lock.

    Raises:
        OperationalError: another transaction held a lock all the time; nothing was done.
    """
    if connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.wrap_database_errors:
                connection.connection.execute(f"SET LOCAL lock_timeout = {_milliseconds(seconds)}")
            yield
        return
    wrapper: Any = connection
    usual = wrapper.lock_wait_s
    wrapper.lock_wait_s = seconds
    try:
        with transaction.atomic():
            wrapper.lock_wait_s = usual
            yield
    finally:
        wrapper.lock_wait_s = usual


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
