"""Selects the provider of a message: by weight, then by health."""

from __future__ import annotations

import functools
import hashlib
import math

from notifications.delivery.registry import provider_keys_for, weights_for
from notifications.delivery.services import any_trouble, blocked_s

_SPAN = 2**64
_CACHED_ORDERS = 4096


def provider_for(channel: str, *, key: int, attempts: int, pinned: str | None) -> str:
    """Returns the key of the provider that sends a message.

    A message always has the same order of providers; a provider of greater weight comes first more
    often. Each retry starts one place further. A blocked provider (its breaker is open) is skipped.
    A message that may have been received is `pinned` to its provider: only that vendor can
    recognize the duplicate.
    """
    keys = provider_keys_for(channel)
    if len(keys) == 1:
        return keys[0]
    order = _order(channel, keys, key % _CACHED_ORDERS)
    if pinned:
        return pinned if pinned in keys else order[0]
    start = attempts % len(order)
    order = order[start:] + order[:start]
    if not any_trouble():
        return order[0]
    return next((name for name in order if blocked_s(name) == 0), order[0])


@functools.lru_cache(maxsize=2 * _CACHED_ORDERS)
def _order(channel: str, keys: tuple[str, ...], key: int) -> tuple[str, ...]:
    """Weighted rendezvous hashing: each provider draws a number, which its weight scales."""
    weights = weights_for(channel)

    def draw(name: str) -> float:
        digest = hashlib.blake2b(f"{key}:{name}".encode(), digest_size=8).digest()
        return math.log((int.from_bytes(digest) + 1) / (_SPAN + 1)) / weights[name]

    return tuple(sorted(keys, key=draw, reverse=True))
