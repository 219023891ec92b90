"""Which provider carries a message: by weight, then by health."""

from __future__ import annotations

import functools
import hashlib
import math

from notifications.delivery.registry import provider_keys_for, weights_for
from notifications.delivery.services import any_trouble, blocked_s

_SPAN = 2**64
_KEPT = 4096


def provider_for(channel: str, *, key: int, attempts: int, pinned: str | None) -> str:
    """The provider that a message should leave by.

    The same message gets the same order of providers every time, of which the heavier come first
    the more often; a retry begins one further. A provider that is held (its breaker is open) is
    passed over. A message that may have reached somebody (`pinned`) stays where it was: who else
    would know that it is the same?
    """
    keys = provider_keys_for(channel)
    if len(keys) == 1:
        return keys[0]
    order = _order(channel, keys, key % _KEPT)
    if pinned:
        return pinned if pinned in keys else order[0]
    turn = attempts % len(order)
    order = order[turn:] + order[:turn]
    if not any_trouble():
        return order[0]
    return next((name for name in order if blocked_s(name) == 0), order[0])


@functools.lru_cache(maxsize=2 * _KEPT)
def _order(channel: str, keys: tuple[str, ...], key: int) -> tuple[str, ...]:
    """Weighted rendezvous hashing: each provider draws a number, its weight bends the odds."""
    weights = weights_for(channel)

    def draw(name: str) -> float:
        digest = hashlib.blake2b(f"{key}:{name}".encode(), digest_size=8).digest()
        return math.log((int.from_bytes(digest) + 1) / (_SPAN + 1)) / weights[name]

    return tuple(sorted(keys, key=draw, reverse=True))
