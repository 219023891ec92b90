"""Rotates the master key, and seals rows of an older release. Both can be resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from directory.models import ContactPoint, Device, Suppression, User
from directory.models.search_token import refresh_tokens, save_tokens
from vault.models import DataKey
from vault.store import rewrap_keys, scope

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


def count_rows() -> int:
    """Returns how many rows `seal_rows` looks at."""
    return count_readable() + User.objects.count()


def count_readable() -> int:
    """Returns how many rows of people have readable texts, from an older release."""
    return sum(model.objects.filter(sealed=None).count() for model in _MODELS)


def seal_rows(report: Report) -> int:
    """Seals what an older release wrote, and renews its search tokens; returns how many rows."""
    sealed = 0
    for model in _MODELS:
        while done := _seal_some(model):
            sealed += done
            report(done)
    return sealed + _renew_tokens(report)


def _renew_tokens(report: Report) -> int:
    """Writes the search tokens of people that differ from those of this release."""
    renewed = last = 0
    while True:
        with transaction.atomic(), scope():
            rows = User.objects.select_for_update().filter(pk__gt=last)
            found = list(rows.order_by("pk")[:_AT_ONCE])
            renewed += refresh_tokens(found)
        if not found:
            return renewed
        last = found[-1].pk
        report(len(found))


_MODELS: tuple[Any, ...] = (User, ContactPoint, Device, Suppression)


def _seal_some(model: Any) -> int:
    with transaction.atomic(), scope():
        rows = model.objects.select_for_update().filter(sealed=None).order_by("pk")
        found = list(rows[:_AT_ONCE])
        names = sorted(model.sealed_names())
        for row in found:
            for name in names:
                getattr(row, name)  # reads the text, which the update then seals
        if found:
            model.objects.bulk_update(found, names)
        if found and model is User:
            save_tokens(found)
    return len(found)
