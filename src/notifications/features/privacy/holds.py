"""Legal holds: while one is in force, nothing of the person is deleted."""

from __future__ import annotations

from collections.abc import Collection

from directory.models import AddressKey, ContactPoint
from directory.models.address_key import address_index
from notifications.models import LegalHold
from vault.store import scope

_AT_ONCE = 500


def is_held(user_id: int) -> bool:
    """Whether a legal hold on the person is in force."""
    return LegalHold.objects.filter(user_id=user_id).exists()


def held_user_ids() -> list[int]:
    """Returns the ids of all users under a hold."""
    return list(LegalHold.objects.values_list("user_id", flat=True).distinct())


def keys_held_for_others(keys: Collection[int], *, user_id: int | None) -> set[int]:
    """Returns which of these keys belong to an address of another person under a hold.

    A key is of several addresses where one send named them all.
    """
    rows = AddressKey.objects.filter(key_id__in=keys).values_list("index", "key_id")
    found: dict[str, set[int]] = {}
    for index, key in rows:
        found.setdefault(index, set()).add(key)
    held = sorted(set(held_user_ids()) - {user_id}) if found else []
    spared: set[int] = set()
    for start in range(0, len(held), _AT_ONCE):
        with scope():
            for point in ContactPoint.objects.filter(user_id__in=held[start : start + _AT_ONCE]):
                if point.address:
                    spared |= found.get(address_index(point.kind, point.address), set())
    return spared
