"""Selects the provider of a message: by weight, then by health."""

from __future__ import annotations

from notifications.delivery.registry import provider_keys_for, weights_for
from notifications.delivery.services import any_trouble, blocked_s
from notifications.domain.weights import rotate, weighted_order


def provider_for(channel: str, *, key: int, attempts: int, pinned: str | None) -> str:
    """Returns the key of the provider that sends a message.

    A message always has the same order of providers; a provider of greater weight comes first more
    often. Each retry starts one place further. A blocked provider (its breaker is open) is skipped.
    A message that may have been received is `pinned` to its provider: only that vendor can
    recognize the duplicate.
    """
    text = weights_for(channel)
    if "," not in text:
        return provider_keys_for(channel)[0]
    order = weighted_order(text, key)
    if pinned:
        return pinned if pinned in order else order[0]
    order = rotate(order, attempts)
    if not any_trouble():
        return order[0]
    return next((name for name in order if blocked_s(name) == 0), order[0])
