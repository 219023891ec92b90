"""Rotates the master key. It can be resumed."""

from __future__ import annotations

from collections.abc import Callable

from vault.models import DataKey
from vault.store import rewrap_keys

_AT_ONCE = 500
Report = Callable[[int], object]
"""Called with the number of rows that were looked at since the call before."""


def count_keys() -> int:
    """Returns how many data keys there are."""
    return DataKey.objects.count()


def rotate(report: Report) -> int:
    """Wraps all data keys by the current master key; returns how many were wrapped again.

    Raises:
        MasterKeyMissing: a key is wrapped by a master key that is not in the settings.
    """
    last = changed = 0
    while True:
        last, seen, wrapped = rewrap_keys(last, _AT_ONCE)
        if not seen:
            return changed
        changed += wrapped
        report(seen)
