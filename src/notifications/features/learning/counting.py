"""Adds hand-overs and engagement to what is learned of people, and of all people together.

It runs in the rounds of the rollups. Hand-overs are deleted in the transaction that adds them, and
bits of engagement are marked as counted in it. So a process that dies counts nothing twice, and the
counts are the same in whatever order changes come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from directory.models import User
from notifications.domain.learning.counts import (
    NONE,
    Cells,
    HourCounts,
    add_cells,
    engagement_change,
    since,
)
from notifications.domain.learning.hours import first_period, hour_of_week, period_of
from notifications.domain.wall_clock import first_zone
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.models import (
    Category,
    EngagementHours,
    EngagementPrior,
    LearningDelta,
    NotificationAnalytics,
    NotificationMessage,
    UserNotificationPreference,
)
from notifications.models.learning.hand_over import (
    HandOver,
    is_learning,
    teaching,
    unpacked_changes,
)
from notifications.models.learning.hours import packed_cells, unpacked_cells
from notifications.models.people.zones import zones_of

Changes = Sequence[tuple[HandOver, HourCounts]]
_AT_ONCE = {"postgresql": 20, "sqlite": 1}
"""Rows of hand-overs of one transaction; each has a hundred at most."""
_Place = tuple[int, str]
"""A person and a channel."""


def to_count() -> list[QuerySet[Any]]:
    """Returns queries of which one has a row while hand-overs wait."""
    return [LearningDelta.objects.all()]


def count_hand_overs() -> int:
    """Adds the oldest hand-overs, in one transaction; returns how many rows it took.

    What is left once nothing is learned any more is deleted.
    """
    with transaction.atomic():
        waiting = LearningDelta.objects.select_for_update(skip_locked=True).order_by("pk")
        rows = list(waiting.values_list("pk", "changes")[: _AT_ONCE[connection.vendor]])
        if rows:
            LearningDelta.objects.filter(pk__in=[key for key, _ in rows]).delete()
            texts = [text for _, text in rows] if is_learning() else []
            changes = [each for text in texts for each in unpacked_changes(text)]
            add_changes([(handed, HourCounts(handed=step)) for handed, step in changes])
    return len(rows)


def count_engagement(rows: Iterable[NotificationAnalytics]) -> None:
    """Adds the bits of people that rollups are about to count, in the caller's transaction."""
    if is_learning():
        add_changes(engagement_changes({row: row.counted for row in rows}))


def engagement_changes(rows: Mapping[NotificationAnalytics, int]) -> Changes:
    """Returns what rows add whose bits were counted as given.

    The hour is that of the hand-over: the question is when a message should be sent.
    """
    steps = {row.pk: (row, engagement_change(row.flags, was)) for row, was in rows.items()}
    steps = {key: found for key, found in steps.items() if found[1] != NONE}
    messages = teaching(NotificationMessage.objects.filter(pk__in=list(steps)))
    return [
        (each.handed_over(row.sent_at), step)
        for each in messages
        for row, step in (steps[each.key],)
        if row.sent_at is not None
    ]


def add_changes(changes: Changes) -> None:
    """Adds changes to the rows of people and of channels, in the caller's transaction."""
    taught = _taught(changes)
    first = first_period(clock.now(), environment().learning_days)
    people: dict[_Place, Cells] = defaultdict(dict)
    channels: dict[str, Cells] = defaultdict(dict)
    zones = {name: first_zone(name)[0] for name in set(taught.values())}
    categories = _trackable({handed.category_id for handed, _ in changes})
    for handed, counts in changes:
        name, at = taught.get(handed.user_id), handed.moment
        if name is None or handed.category_id not in categories or period_of(at) < first:
            continue
        cell = period_of(at), hour_of_week(at, zones[name])
        add_cells(people[handed.user_id, handed.channel], {cell: counts})
        add_cells(channels[handed.channel], {cell: counts})
    _add_to_people(people, first)
    _add_to_channels(channels, first)


def clear() -> None:
    """Deletes all that was learned. `carillon analytics rebuild-hours` counts it anew."""
    for model in (LearningDelta, EngagementHours, EngagementPrior):
        model._default_manager.all().delete()


def forget_refusing(user_id: int) -> None:
    """Deletes what was learned of a person who refuses tracking from now on.

    The rows are locked by rising id, as the count locks them: so neither waits for the other.
    """
    with transaction.atomic():
        rows = EngagementHours.objects.select_for_update().filter(user_id=user_id).order_by("pk")
        keys = list(rows.values_list("pk", flat=True))
        EngagementHours.objects.filter(pk__in=keys).delete()


def _taught(changes: Changes) -> dict[int, str]:
    """Returns the zones of the people who may be learned of: they exist, and allow tracking."""
    named = {handed.user_id for handed, _ in changes}
    rows = UserNotificationPreference.objects.filter(user_id__in=named, tracking_enabled=False)
    refusing = set(rows.values_list("user_id", flat=True))
    _delete_late(refusing)
    named -= refusing
    there = User.objects.filter(pk__in=named).order_by("pk").values_list("pk", flat=True)
    return zones_of(list(there))


def _delete_late(refusing: Collection[int]) -> None:
    """Deletes rows of people who refuse: a count that ran beside their refusal wrote them again."""
    if refusing:
        rows = EngagementHours.objects.select_for_update(skip_locked=True)
        late = rows.filter(user_id__in=refusing).order_by("pk")
        EngagementHours.objects.filter(pk__in=list(late.values_list("pk", flat=True))).delete()


def _trackable(ids: set[int]) -> set[int]:
    rows = Category.objects.filter(pk__in=ids, trackable=True)
    return set(rows.values_list("pk", flat=True))


def _add_to_people(changes: Mapping[_Place, Cells], first: int) -> None:
    """Adds to rows of people. They are locked by rising id, so that two processes take turns."""
    places = {place for place, cells in changes.items() if cells}
    if not places:
        return
    missing = sorted(places - set(_rows_of(places).values_list("user_id", "channel")))
    EngagementHours.objects.bulk_create(
        [EngagementHours(user_id=user, channel=channel) for user, channel in missing],
        ignore_conflicts=True,
    )
    now = clock.now()
    rows = []
    for row in _rows_of(places).select_for_update().order_by("pk"):
        cells = changes.get((row.user_id, row.channel))
        if cells:
            row.cells, row.updated_at = _sum(row.cells, cells, first), now
            rows.append(row)
    EngagementHours.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["user", "channel"],
        update_fields=["cells", "updated_at"],
    )


def _rows_of(places: Collection[_Place]) -> QuerySet[EngagementHours]:
    """Returns the rows of people on channels; some may be of another pair of both."""
    users, channels = {user for user, _ in places}, {channel for _, channel in places}
    return EngagementHours.objects.filter(user_id__in=users, channel__in=channels)


def _add_to_channels(changes: Mapping[str, Cells], first: int) -> None:
    names = [name for name, cells in sorted(changes.items()) if cells]
    EngagementPrior.objects.bulk_create(
        [EngagementPrior(channel=name) for name in names], ignore_conflicts=True
    )
    held = EngagementPrior.objects.select_for_update().filter(channel__in=names)
    for row in held.order_by("channel"):
        row.cells = _sum(row.cells, changes[row.channel], first)
        row.save(update_fields=["cells"])


def _sum(stored: bytes | memoryview, more: Cells, first: int) -> bytes:
    """Returns stored counts with others, without the periods before `first`."""
    cells = since(unpacked_cells(stored), first)
    add_cells(cells, more)
    return packed_cells(cells)
