"""Rows of people: their readable texts are sealed in their columns `sealed`."""

from __future__ import annotations

from functools import partial
from typing import Any

from directory.models import AddressProof, ContactPoint, Device, Suppression, User
from directory.models.search_token import save_tokens
from notifications.domain.redaction import redacted
from notifications.features.sealing.values import Page

MODELS: dict[str, Any] = {
    "people": User,
    "contact points": ContactPoint,
    "devices": Device,
    "suppressions": Suppression,
    "address proofs": AddressProof,
}
_REASONS: dict[Any, tuple[str, ...]] = {
    ContactPoint: ("state_reason",),
    Suppression: ("reason",),
}
"""Columns with texts of vendors."""


def page(model: Any, after: int, last: int, count: int) -> Page:
    """Finds rows with readable texts, in the order of keys."""
    rows = model.objects.filter(pk__gt=after, pk__lte=last).order_by("pk")
    found = list(rows.indexes("pk")[:count])
    keys = [row[0] for row in found]
    return Page(keys[-1] if keys else last, len(keys), partial(_seal, model, keys))


def _seal(model: Any, keys: list[int]) -> int:
    """Locks the rows that are readable still, and seals them."""
    rows = model.objects.select_for_update().filter(pk__in=keys, sealed=None).order_by("pk")
    found = list(rows)
    names = sorted(model.sealed_names())
    reasons = _REASONS.get(model, ())
    for row in found:
        for name in names:
            getattr(row, name)  # reads the text, which the update then seals
        for reason in reasons:
            setattr(row, reason, redacted(getattr(row, reason)))
    if found:
        model.objects.bulk_update(found, [*names, *reasons])
    if found and model is User:
        save_tokens(found)
    return len(found)
