"""Counters that stop at the maximum of their column, so that no statement fails."""

from __future__ import annotations

MOST = 32_767
"""The maximum of a smallint column."""


def one_more(count: int) -> int:
    """Returns the next count, at most MOST."""
    return min(count + 1, MOST)
