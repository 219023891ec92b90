"""Attributes events to messages: the last message that the person engaged with before.

The attribution of a conversion depends only on what is stored: the event and the engagement of its
person. So it is the same in whatever order both arrive, and it can be made again at any time.

Neither of two transactions at once sees what the other writes. So each side looks again after its
commit: an event by a hook of its transaction, engagement by the next round of the rollups.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import F, Min, QuerySet

from notifications.domain.engagement import (
    CLICK_HUMAN,
    CONVERTED,
    OPEN_HUMAN,
    Actor,
    EventKind,
)
from notifications.models import (
    Conversion,
    Goal,
    NotificationAnalytics,
    NotificationMessage,
    PersonEvent,
    TrackingEvent,
)

OLDEST_MESSAGE = timedelta(days=90)
"""A message that was accepted longer before the window counts for no conversion."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True, order=True)
class Touch:
    """A person engaged with a message."""

    at: datetime
    message_id: int
    is_click: bool


def last_touch(touches: Iterable[Touch], goal: Goal, occurred_at: datetime) -> Touch | None:
    """Returns the touch that an event follows: the last click within the window of the goal.

    The last open instead, where the goal counts opens and there is no click.
    """
    first = occurred_at - goal.window
    within = [touch for touch in touches if first <= touch.at <= occurred_at]
    clicks = [touch for touch in within if touch.is_click]
    opens = [touch for touch in within if not touch.is_click] if goal.counts_opens else []
    return max(clicks or opens, default=None)


def attribute(events: Sequence[PersonEvent]) -> None:
    """Stores the conversions of events: one for each goal that names the event.

    It runs in the caller's transaction and changes nothing when it is repeated. After the commit
    it looks once more for engagement that was stored meanwhile.
    """
    by_event: dict[str, list[Goal]] = defaultdict(list)
    for goal in Goal.objects.filter(event__in={event.name for event in events}).order_by("pk"):
        by_event[goal.event].append(goal)
    wanted = sorted((event for event in events if event.name in by_event), key=lambda e: e.pk)
    if not wanted:
        return
    made = [
        Conversion(
            goal=goal, event_id=event.pk, user_id=event.user_id, occurred_at=event.occurred_at
        )
        for event in wanted
        for goal in by_event[event.name]
        if event.received_at >= goal.created_at
    ]
    Conversion.objects.bulk_create(made, ignore_conflicts=True, batch_size=_AT_ONCE)
    goals = [goal.pk for each in by_event.values() for goal in each]
    ids = [event.pk for event in wanted]
    _settle_events(goals, ids)
    # A failure must not refuse an event that is stored.
    transaction.on_commit(partial(_settle_events, goals, ids), robust=True)


def _settle_events(goals: Sequence[int], events: Sequence[int]) -> None:
    settle(Conversion.objects.filter(goal_id__in=goals, event_id__in=events))


def settle(rows: QuerySet[Conversion]) -> None:
    """Attributes conversions anew, and corrects the messages that gain or lose one."""
    with transaction.atomic():
        keys = list(rows.order_by("pk").values_list("pk", flat=True))
        changed: set[int] = set()
        for start in range(0, len(keys), _AT_ONCE):
            changed |= _move(Conversion.objects.filter(pk__in=keys[start : start + _AT_ONCE]))
        # Once, so that two calls lock the rows of engagement in one order.
        mark_converted(changed)


def _move(rows: QuerySet[Conversion]) -> set[int]:
    """Sets the messages of conversions; returns the messages that gain or lose one.

    The conversions are locked before engagement is read: of two calls at once, the later one sees
    all that the earlier one saw.
    """
    locked = rows.select_related("goal").select_for_update(of=("self",))
    conversions = list(locked.order_by("pk"))
    touches = touches_of(conversions)
    changed: set[int] = set()
    for each in conversions:
        found = last_touch(touches.get(each.user_id, ()), each.goal, each.occurred_at)
        message_id = found.message_id if found else None
        changed.update(key for key in (each.message_id, message_id) if key is not None)
        values = {"message_id": message_id, "touched_at": found.at if found else None}
        if (each.message_id, each.touched_at) != (message_id, values["touched_at"]):
            Conversion.objects.filter(pk=each.pk).update(**values)
    return changed


def touches_of(conversions: Sequence[Conversion]) -> Mapping[int, list[Touch]]:
    """Returns the engagement of people that may matter for their conversions, by person."""
    if not conversions:
        return {}
    first = min(each.occurred_at - each.goal.window for each in conversions)
    last = max(each.occurred_at for each in conversions)
    rows = NotificationAnalytics.objects.annotate(
        human=F("flags").bitand(OPEN_HUMAN | CLICK_HUMAN)
    ).filter(
        notification__notification__user_id__in={each.user_id for each in conversions},
        notification__notification__created_at__gte=first - OLDEST_MESSAGE,
        notification__notification__created_at__lte=last,
        human__gt=0,
    )
    found: dict[int, list[Touch]] = defaultdict(list)
    people: dict[int, int] = {}
    for key, user_id, opened_at, clicked_at in rows.values_list(
        "pk", "notification__user_id", "opened_at", "clicked_at"
    ):
        people[key] = user_id
        for moment, is_click in ((opened_at, False), (clicked_at, True)):
            if moment is not None:
                found[user_id].append(Touch(moment, key, is_click))
    for key, kind, moment in _evidence(people, first, last):
        found[people[key]].append(Touch(moment, key, kind == EventKind.CLICK))
    return found


def _evidence(
    keys: Collection[int], first: datetime, last: datetime
) -> Iterable[tuple[int, str, datetime]]:
    """Returns (message, kind, time) of all requests of people: a row of engagement has the first.

    Retention deletes them; then the times of the row count.
    """
    rows = TrackingEvent.objects.filter(
        message_id__in=list(keys),
        verdict=Actor.HUMAN,
        kind__in=[EventKind.OPEN, EventKind.CLICK],
        at__gte=first,
        at__lte=last,
    )
    return rows.values_list("message_id", "kind", "at")


def mark_converted(keys: Collection[int]) -> None:
    """Makes the rows of engagement say whether, and when first, their message converted.

    The rows are locked before their conversions are read, so two calls at once end right.
    """
    ordered = sorted(keys)
    with transaction.atomic():
        for start in range(0, len(ordered), _AT_ONCE):
            _mark(ordered[start : start + _AT_ONCE])


def _mark(keys: Sequence[int]) -> None:
    held = list(
        NotificationAnalytics.objects.select_for_update().filter(pk__in=keys).order_by("pk")
    )
    firsts = dict(
        Conversion.objects.filter(message_id__in=[row.pk for row in held])
        .values_list("message_id")
        .annotate(Min("occurred_at"))
        .order_by()
    )
    for row in held:
        at = firsts.get(row.pk)
        flags = row.flags & ~CONVERTED | (CONVERTED if at else 0)
        if (flags, at) != (row.flags, row.converted_at):
            row.flags, row.converted_at = flags, at
            row.save(update_fields=["flags", "converted_at"])


def attribute_again(rows: Sequence[NotificationAnalytics]) -> None:
    """Attributes conversions again that new engagement may change.

    It is called for rows whose bits changed: a click may be stored after the event that it led to.
    """
    human = OPEN_HUMAN | CLICK_HUMAN
    touched = [row for row in rows if (row.flags ^ row.counted) & human]
    if not touched or not Goal.objects.exists():
        return
    keys = [row.pk for row in touched]
    people = NotificationMessage.objects.filter(pk__in=keys, user_id__isnull=False)
    of_people = Conversion.objects.filter(
        user_id__in=list(people.values_list("user_id", flat=True)),
        occurred_at__gte=min(_first_touch(row) for row in touched),
    )
    settle(of_people | Conversion.objects.filter(message_id__in=keys))


def _first_touch(row: NotificationAnalytics) -> datetime:
    times = [at for at in (row.opened_at, row.clicked_at) if at is not None]
    return min(times, default=row.created_at)
