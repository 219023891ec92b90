"""Judges old evidence by the present classifier, set by set; it continues where it stopped."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

from directory.keys import load_keys_of_people
from notifications.domain.tracking.classifier import VERSION
from notifications.features.tracking.judging import judge, whole_since
from notifications.features.tracking.recording import tracked_messages
from notifications.models import NotificationAnalytics, TrackingEvent
from vault.store import scope

AT_ONCE = 500
"""Messages of one transaction."""


def count_to_classify() -> int:
    """Returns how many events an older classifier judged."""
    return TrackingEvent.objects.filter(classifier__lt=VERSION).count()


def classify_old(progress: Callable[[int], object] = lambda _: None) -> tuple[int, int]:
    """Judges all messages of which an older classifier judged an event.

    A message stays as it is when a part of its evidence may be deleted: its flags would lose what
    was counted. What was judged has the present version, so a later call goes on after it.

    Args:
        progress: called with the number of events of each transaction.

    Returns:
        how many messages were judged, and how many rows of engagement changed.
    """
    oldest = whole_since()
    last, judged, changed = 0, 0, 0
    while True:
        ids = _next(last)
        if not ids:
            return judged, changed
        last = ids[-1]
        with scope(), transaction.atomic():
            messages = tracked_messages(ids)
            load_keys_of_people(m.user_id for m in messages.values() if m.user_id is not None)
            rows = NotificationAnalytics.objects.select_for_update().filter(
                pk__in=list(messages), created_at__gte=oldest
            )
            found = {row.pk: row for row in rows.order_by("pk")}
            events = TrackingEvent.objects.filter(message_id__in=list(found)).count()
            changed += judge(found, messages)
        judged += len(found)
        progress(events)


def _next(last: int) -> list[int]:
    """Returns the next messages with an event of an older version, by an index."""
    rows = TrackingEvent.objects.filter(message_id__gt=last, classifier__lt=VERSION)
    found = rows.order_by("message_id").values_list("message_id", flat=True).distinct()
    return list(found[:AT_ONCE])
