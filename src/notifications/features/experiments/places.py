"""Shows the place of a notification in a test, for `explain`."""

from __future__ import annotations

from notifications.domain.experiments.labels import PlaceNote, place_of
from notifications.features.experiments.schemas import ABTestPlaceResponse
from notifications.models import NotificationABTest


def shown_place(label: str | None) -> ABTestPlaceResponse | None:
    """Returns what a notification's label says; None without a test."""
    place = place_of(label)
    if place is None:
        return None
    name = NotificationABTest.objects.filter(pk=place.test_id).values_list("name", flat=True)
    return ABTestPlaceResponse(
        id=place.test_id,
        name=name.first() or "",
        variant=place.variant,
        place="counted" if place.note is PlaceNote.COUNTED else place.note.value,
    )
