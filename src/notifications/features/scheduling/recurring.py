"""Series: written down with their people, and made into notifications an occurrence at a time.

An occurrence is made ahead of its time, when the one before it is due and at most a day before, so
that its notifications leave as punctually as any others and can be taken back one by one. Whoever
makes one holds the lock of the series: any number of processes may try.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import partial

import structlog
from django.db import transaction

from notifications.domain.callers import Caller
from notifications.domain.errors import FieldError, InvalidRequest
from notifications.domain.timing import PROMPT, Occurrence, Timing
from notifications.domain.wall_clock import first_zone
from notifications.features.background.items import Items
from notifications.features.scheduling.acceptance import DueGroup, accept_groups, intent_of_series
from notifications.features.scheduling.zones import people_by_zone
from notifications.infra import clock
from notifications.intake.accept import Intent
from notifications.intake.schedule import ScheduleRequest
from notifications.models import (
    ScheduleClock,
    ScheduleMember,
    ScheduleOccurrence,
    ScheduleSeries,
    SeriesStatus,
    Work,
)
from notifications.models.sources.schedule import fields_of_timing, wall_of, wall_text

log = structlog.get_logger("carillon.schedules")
AHEAD = timedelta(days=1)
EARLY = timedelta(minutes=2)
"""How long before it must an occurrence is made: rounds come every minute."""

_ROUNDS = 10_000
_CLOCKS = 500
_AT_ONCE = 1_000


def begin_series(
    request: ScheduleRequest,
    intent: Intent,
    people: Sequence[int],
    *,
    caller: Caller,
    now: datetime,
) -> tuple[ScheduleSeries, dict[int, int], datetime]:
    """Writes a series and makes its first occurrence in every zone; returns the notification's key
    of each person, and when the first of them is due. The caller is in a transaction.

    Raises:
        InvalidRequest: never_occurs.
    """
    timing = request.timing
    series = ScheduleSeries.objects.create(
        source=intent.source,
        created_by=caller.name,
        owner_id=caller.user_id,
        is_test=intent.is_test,
        type=request.kind,
        category_id=intent.category_id,
        priority=int(intent.priority),
        channels=list(intent.terms.channels),
        text=request.text,
        rule=request.rule,
        created_at=now,
        **fields_of_timing(timing),
    )
    groups = people_by_zone(people) if timing.by_zone else {str(timing.zone): list(people)}
    keys: dict[int, int] = {}
    dues: list[datetime] = []
    for zone, members in groups.items():
        found = timing.next_in(_zone(zone), after=now)
        if found is None:
            continue
        held = _open_clock(series, zone, found)
        _enlist(series, held, members)
        dues.append(found.at)
        keys |= _make(series, held, timing, now=now)
    if not dues:
        detail = "this rule never occurs after scheduled_at"
        raise InvalidRequest([FieldError("recurrence", "never_occurs", detail)])
    return series, keys, min(dues)


def create_due_occurrences(*, now: datetime) -> int:
    """Makes every occurrence whose turn it is; returns how many. Each in a transaction of its own.

    A series that another process is at is passed over. What fails waits, and is set aside at its
    third failure; a series goes on in its other zones.
    """
    made = 0
    items = Items(Work.SCHEDULE, now=now)
    for _ in range(_ROUNDS):
        ripe = items.runnable(
            ScheduleClock.objects.filter(make_at__lte=now, series__status=SeriesStatus.ACTIVE)
        )
        keys = list(ripe.order_by("make_at", "id").values_list("pk", flat=True)[:_CLOCKS])
        found = sum(items.run_one(key, partial(_try_one, key, now=now), default=0) for key in keys)
        made += found
        if not found:
            break
    return made


def _try_one(key: int, *, now: datetime) -> int:
    """Makes the occurrence of one clock, under the lock of its series; 0 where another process has
    it, or made it."""
    with transaction.atomic():
        rows = ScheduleSeries.objects.filter(clocks__pk=key, status=SeriesStatus.ACTIVE)
        series = rows.select_for_update(skip_locked=True, of=("self",)).first()
        ripest = series.clocks.filter(pk=key, make_at__lte=now).first() if series else None
        if series is None or ripest is None:
            return 0
        _make_one(series, ripest, now=now)
    return 1


def _make_one(series: ScheduleSeries, ripest: ScheduleClock, *, now: datetime) -> None:
    timing = series.timing()
    if timing.by_zone:
        _follow_movers(series, ripest, timing)
    _make(series, ripest, timing, now=now)
    if not series.clocks.filter(make_at__isnull=False).exists():
        ScheduleSeries.objects.filter(pk=series.pk).update(status=SeriesStatus.ENDED, ended_at=now)


def _make(
    series: ScheduleSeries, held: ScheduleClock, timing: Timing, *, now: datetime
) -> Mapping[int, int]:
    """Writes the notifications of a clock's next occurrence, and sets the clock forward."""
    assert held.next_at is not None
    zone = _zone(held.zone)
    found = Occurrence(wall_of(held.next_wall), held.next_at)
    if found.at < now - PROMPT:
        found = timing.last_missed(found, zone, now=now)
    wall = wall_text(found.wall)
    members = ScheduleMember.objects.filter(clock=held, made_wall__lt=wall)
    people = list(members.order_by("user_id").values_list("user_id", flat=True))
    expires_at = timing.expires_at(found.at)
    too_late = expires_at is not None and expires_at <= now
    keys: dict[int, int] = {}
    job = None
    if people and not too_late:
        dues = [DueGroup(found.at, people, expires_at)]
        job, keys = accept_groups(
            intent_of_series(series), series.text, dues, total=len(people), now=now
        )
    ScheduleOccurrence.objects.create(
        series=series,
        zone=held.zone,
        wall=wall,
        due_at=found.at,
        job=job,
        count=len(keys),
        missed=found.missed,
        made_at=now,
    )
    members.update(made_wall=wall)
    following = timing.next_in(zone, after=found.at, behind=found.wall)
    _set_forward(held, found, following)
    log.info("schedule.occurrence", series=series.pk, zone=held.zone, wall=wall, count=len(keys))
    return keys


def _set_forward(held: ScheduleClock, made: Occurrence, following: Occurrence | None) -> None:
    held.made_wall, held.made_at = wall_text(made.wall), made.at
    _point_to(held, following, not_before=made.at)
    held.save()


def _point_to(held: ScheduleClock, following: Occurrence | None, *, not_before: datetime) -> None:
    if following is None:
        held.next_wall, held.next_at, held.make_at = "", None, None
        return
    held.next_wall, held.next_at = wall_text(following.wall), following.at
    held.make_at = max(not_before, following.at - AHEAD) - EARLY


def _open_clock(series: ScheduleSeries, zone: str, first: Occurrence | None) -> ScheduleClock:
    held = ScheduleClock(series=series, zone=zone)
    _point_to(held, first, not_before=clock.now())
    held.save()
    return held


def _enlist(series: ScheduleSeries, held: ScheduleClock, people: Sequence[int]) -> None:
    rows = (ScheduleMember(series=series, clock=held, user_id=person) for person in people)
    ScheduleMember.objects.bulk_create(rows, batch_size=_AT_ONCE)


def _follow_movers(series: ScheduleSeries, held: ScheduleClock, timing: Timing) -> None:
    """People whose zone has changed go to the clock of their new one.

    What that clock has made already while they were not there is made for them now; what it has
    not, they get with the others. So nobody is told twice of one occurrence, or not at all.
    """
    members = ScheduleMember.objects.filter(clock=held)
    people = list(members.order_by("user_id").values_list("user_id", flat=True))
    for zone, moved in people_by_zone(people).items():
        if zone == held.zone:
            continue
        other = series.clocks.filter(zone=zone).first()
        if other is None:
            after = (held.made_at or series.created_at) - AHEAD * 2
            behind = wall_of(held.made_wall) if timing.wall and held.made_wall else None
            after = after if behind else held.made_at or series.created_at
            other = _open_clock(
                series, zone, timing.next_in(_zone(zone), after=after, behind=behind)
            )
        for start in range(0, len(moved), _AT_ONCE):
            members.filter(user_id__in=moved[start : start + _AT_ONCE]).update(clock=other)
        _catch_up(series, other, timing)


def _catch_up(series: ScheduleSeries, other: ScheduleClock, timing: Timing) -> None:
    """Makes the last occurrence of a clock for those who came to it after it was made."""
    if not other.made_wall or other.made_at is None:
        return
    late = ScheduleMember.objects.filter(clock=other, made_wall__lt=other.made_wall)
    people = list(late.order_by("user_id").values_list("user_id", flat=True))
    now = clock.now()
    expires_at = timing.expires_at(other.made_at)
    if people and (expires_at is None or expires_at > now):
        dues = [DueGroup(other.made_at, people, expires_at)]
        job, _ = accept_groups(
            intent_of_series(series), series.text, dues, total=len(people), now=now
        )
        ScheduleOccurrence.objects.create(
            series=series,
            zone=other.zone,
            wall=f"{other.made_wall}+{job.pk}"[:40],
            due_at=other.made_at,
            job=job,
            count=len(people),
            made_at=now,
        )
    late.update(made_wall=other.made_wall)


def _zone(name: str) -> tzinfo:
    return first_zone(name)[0]
