"""Groups people by their time zone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from notifications.models.people.zones import zones_of


def people_by_zone(user_ids: Sequence[int]) -> dict[str, list[int]]:
    """Groups users by time zone, in the given order, as `zones_of` says."""
    found: dict[str, list[int]] = defaultdict(list)
    for person, zone in zones_of(user_ids).items():
        found[zone].append(person)
    return dict(found)
