"""Enters people into series, in the transaction in which their trigger happens.

This writes the rows of people and computes no due time: the round of series does that. So joining
a list and reporting an event cost one look-up where no series waits for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import partial

from django.db import transaction

from directory.models import User
from notifications.domain.series.lifecycle import (
    OPEN,
    EnrollmentState,
    MailSeriesStatus,
    SeriesTrigger,
    may_enter_again,
)
from notifications.models import MailSeries, PersonEvent, SeriesEnrollment

AT_ONCE = 500
_OPEN = sorted(status.value for status in OPEN)
_Last = tuple[int, str, datetime, date | None]
"""The number of an entry, its state, when it was, and the date that made it."""


def enter_by_list(list_id: int, user_ids: Sequence[int], *, now: datetime) -> int:
    """Enters people who are on a list from now on; returns how many. The caller has locked them."""
    if not user_ids:
        return 0
    rows = MailSeries.objects.filter(
        status__in=_OPEN, trigger=SeriesTrigger.LIST.value, list_id=list_id
    )
    since = dict.fromkeys(user_ids, now)
    return _enter_all(dict.fromkeys(rows.order_by("pk"), since), now=now)


def enter_by_events(events: Iterable[PersonEvent], *, now: datetime) -> int:
    """Enters the people of events that were stored; returns how many. Safe to repeat.

    An event from before the launch of a series counts for none.
    """
    stored = list(events)
    names = sorted({event.name for event in stored})
    rows = MailSeries.objects.filter(
        status__in=_OPEN, trigger=SeriesTrigger.EVENT.value, event__in=names
    )
    rows = rows.select_related("goal")
    found = {row: _since(row, stored) for row in rows.order_by("pk")} if names else {}
    return _enter_all(found, now=now)


def enter(
    series: MailSeries, since: Mapping[int, datetime], *, now: datetime, day: date | None = None
) -> int:
    """Enters people into an open series; returns how many entered it. Safe to repeat.

    People who are in it, who may not enter again, or who do not exist are left out.

    Args:
        since: when the trigger happened, by user id.
        day: the date that made them enter.
    """
    return _enter_all({series: since}, now=now, day=day)


def _since(row: MailSeries, events: Iterable[PersonEvent]) -> dict[int, datetime]:
    """Returns the latest event of each person that counts for a series."""
    found: dict[int, datetime] = {}
    for event in events:
        at = event.occurred_at
        if event.name == row.event and row.launched_at is not None and at >= row.launched_at:
            found[event.user_id] = max(found.get(event.user_id, at), at)
    return found


def _enter_all(
    found: Mapping[MailSeries, Mapping[int, datetime]], *, now: datetime, day: date | None = None
) -> int:
    people = sorted({person for since in found.values() for person in since})
    if not people:
        return 0
    entered = 0
    with transaction.atomic():
        present = _lock(people)
        for series, since in found.items():
            mine = sorted(present.intersection(since))
            for start in range(0, len(mine), AT_ONCE):
                part = mine[start : start + AT_ONCE]
                entered += _enter_part(series, part, since, now=now, day=day)
    return entered


def _lock(people: Sequence[int]) -> set[int]:
    """Locks people in order, and returns those who are active.

    An erasure that comes at the same time waits, so that no row names a person who is gone. All are
    locked before the first row is written: two calls cannot wait for each other.
    """
    present: set[int] = set()
    for start in range(0, len(people), AT_ONCE):
        part = people[start : start + AT_ONCE]
        rows = User.objects.select_for_update(no_key=True).filter(pk__in=part, is_active=True)
        present.update(rows.order_by("pk").values_list("pk", flat=True))
    return present


def _enter_part(
    series: MailSeries,
    people: Sequence[int],
    since: Mapping[int, datetime],
    *,
    now: datetime,
    day: date | None,
) -> int:
    last = _last_entries(series, people)
    fresh = [
        _new_row(series, person, last.get(person), since[person], now=now, day=day)
        for person in people
        if _may_enter(series, last.get(person), since[person], day)
    ]
    if fresh:
        SeriesEnrollment.objects.bulk_create(fresh, ignore_conflicts=True)
        _clear_again(series.pk)
        transaction.on_commit(partial(_clear_again, series.pk), robust=True)
    return len(fresh)


def _clear_again(series_id: int) -> None:
    """Lets a round end the new rows of a series that was ended meanwhile, however long ago.

    It is asked within the transaction, which ends the rows with its commit, and after it: the end
    may have come in between.
    """
    rows = MailSeries.objects.filter(pk=series_id, status=MailSeriesStatus.ENDED, cleared=True)
    rows.update(cleared=False)


def _last_entries(series: MailSeries, people: Sequence[int]) -> dict[int, _Last]:
    """Returns the latest entry of each person who was in the series before."""
    rows = SeriesEnrollment.objects.filter(series=series, user_id__in=people)
    found: dict[int, _Last] = {}
    columns = ("user_id", "entry", "state", "entered_at", "day")
    for user_id, *entry in rows.order_by("entry").values_list(*columns):
        found[user_id] = (entry[0], entry[1], entry[2], entry[3])
    return found


def _may_enter(series: MailSeries, last: _Last | None, since: datetime, day: date | None) -> bool:
    if last is None:
        return True
    _, state, entered_at, last_day = last
    # The look for a day begins a little earlier or later: only the days themselves are comparable.
    passed = day - last_day if day and last_day else since - entered_at
    return may_enter_again(state, passed, after_days=series.reentry_days)


def _new_row(
    series: MailSeries,
    person: int,
    last: _Last | None,
    since: datetime,
    *,
    now: datetime,
    day: date | None,
) -> SeriesEnrollment:
    held = series.holds_out(person)
    return SeriesEnrollment(
        series=series,
        user_id=person,
        version=series.version,
        entry=last[0] + 1 if last else 1,
        state=EnrollmentState.HELD_OUT if held else EnrollmentState.WAITING,
        due_at=None if held else now,
        day=day,
        entered_at=now,
        # A clock may be ahead. The trigger itself must not be later than this where it is the goal.
        triggered_at=since if series.goal_is_trigger else min(since, now),
        ended_at=now if held else None,
    )
