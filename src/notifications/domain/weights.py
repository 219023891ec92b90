"""Weighted choice of providers: the same message always has the same order."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Sequence

_SPAN = 2**64
_CACHED_ORDERS = 4096


@functools.lru_cache(maxsize=64)
def read_weights(text: str) -> dict[str, int]:
    """Reads a setting such as `smtp`, or `smtp=3,ses=1`. A name without a weight has weight 1."""
    pairs = (part.partition("=") for part in text.split(","))
    return {name.strip(): int(weight or 1) for name, _, weight in pairs}


def weighted_order(text: str, key: int) -> tuple[str, ...]:
    """Returns the names of a setting in the order for a message.

    A name of greater weight comes first more often. All messages with the same `key` modulo 4,096
    have the same order.
    """
    return _order(text, key % _CACHED_ORDERS)


def rotate(order: Sequence[str], attempts: int) -> tuple[str, ...]:
    """Returns the order for a retry: each attempt starts one place further."""
    start = attempts % len(order)
    return (*order[start:], *order[:start])


@functools.lru_cache(maxsize=2 * _CACHED_ORDERS)
def _order(text: str, key: int) -> tuple[str, ...]:
    """Weighted rendezvous hashing: each name draws a number, which its weight scales."""
    weights = read_weights(text)

    def draw(name: str) -> float:
        digest = hashlib.blake2b(f"{key}:{name}".encode(), digest_size=8).digest()
        return math.log((int.from_bytes(digest) + 1) / (_SPAN + 1)) / weights[name]

    return tuple(sorted(weights, key=draw, reverse=True))
