"""Counters that stay what they are at the end of their column, instead of failing a statement."""

from __future__ import annotations

MOST = 32_767
"""What a smallint column holds at most."""


def one_more(count: int) -> int:
    """The next count, up to MOST."""
    return min(count + 1, MOST)
