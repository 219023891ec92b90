"""Series: stores them with their members, and creates the notifications of each occurrence.

An occurrence is created when the one before it is due, and at most a day ahead. So its
notifications are sent as punctually as any others, and can be cancelled one by one. A process locks
the series while it creates an occurrence: any number of processes may try at once.
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
from notifications.features.scheduling.acceptance import (
    DueGroup,
    accept_groups,
    build_series_intent,
)
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
"""An occurrence is created so long before it has to be, because rounds come every minute."""

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
    """Writes a series and creates its first occurrence in every zone.

    Returns the series, the notification's key by user id, and when the first of them is due. The
    caller is in a transaction.

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
        zone_clock = _open_clock(series, zone, found)
        _add_members(series, zone_clock, members)
        dues.append(found.at)
        keys |= _create(series, zone_clock, timing, now=now)
    if not dues:
        detail = "this rule never occurs after scheduled_at"
        raise InvalidRequest([FieldError("recurrence", "never_occurs", detail)])
    return series, keys, min(dues)


def create_due_occurrences(*, now: datetime) -> int:
    """Creates the occurrences that are to be created now; returns how many.

    Each has its own transaction. A series that another process has locked is skipped. An occurrence
    that fails waits, and is set aside at its third failure; the series continues in other zones.
    """
    made = 0
    items = Items(Work.SCHEDULE, now=now)
    for _ in range(_ROUNDS):
        due = items.runnable(
            ScheduleClock.objects.filter(make_at__lte=now, series__status=SeriesStatus.ACTIVE)
        )
        keys = list(due.order_by("make_at", "id").values_list("pk", flat=True)[:_CLOCKS])
        found = sum(
            items.run_one(key, partial(_create_if_free, key, now=now), default=0) for key in keys
        )
        made += found
        if not found:
            break
    return made


def _create_if_free(key: int, *, now: datetime) -> int:
    """Creates the next occurrence of one clock under the lock of its series; returns how many.

    0 where another process has the lock or has created it.
    """
    with transaction.atomic():
        rows = ScheduleSeries.objects.filter(clocks__pk=key, status=SeriesStatus.ACTIVE)
        series = rows.select_for_update(skip_locked=True, of=("self",)).first()
        due = series.clocks.filter(pk=key, make_at__lte=now).first() if series else None
        if series is None or due is None:
            return 0
        _create_next(series, due, now=now)
    return 1


def _create_next(series: ScheduleSeries, zone_clock: ScheduleClock, *, now: datetime) -> None:
    timing = series.timing()
    if timing.by_zone:
        _move_members(series, zone_clock, timing)
    _create(series, zone_clock, timing, now=now)
    if not series.clocks.filter(make_at__isnull=False).exists():
        ScheduleSeries.objects.filter(pk=series.pk).update(status=SeriesStatus.ENDED, ended_at=now)


def _create(
    series: ScheduleSeries, zone_clock: ScheduleClock, timing: Timing, *, now: datetime
) -> Mapping[int, int]:
    """Writes the notifications of a clock's next occurrence, and advances the clock."""
    assert zone_clock.next_at is not None
    zone = _zone(zone_clock.zone)
    found = Occurrence(wall_of(zone_clock.next_wall), zone_clock.next_at)
    if found.at < now - PROMPT:
        found = timing.last_missed(found, zone, now=now)
    wall = wall_text(found.wall)
    members = ScheduleMember.objects.filter(clock=zone_clock, made_wall__lt=wall)
    people = list(members.order_by("user_id").values_list("user_id", flat=True))
    expires_at = timing.expires_at(found.at)
    too_late = expires_at is not None and expires_at <= now
    keys: dict[int, int] = {}
    job = None
    if people and not too_late:
        dues = [DueGroup(found.at, people, expires_at)]
        job, keys = accept_groups(
            build_series_intent(series), series.text, dues, total=len(people), now=now
        )
    ScheduleOccurrence.objects.create(
        series=series,
        zone=zone_clock.zone,
        wall=wall,
        due_at=found.at,
        job=job,
        count=len(keys),
        missed=found.missed,
        made_at=now,
    )
    members.update(made_wall=wall)
    following = timing.next_in(zone, after=found.at, behind=found.wall)
    _advance(zone_clock, found, following)
    log.info(
        "schedule.occurrence", series=series.pk, zone=zone_clock.zone, wall=wall, count=len(keys)
    )
    return keys


def _advance(zone_clock: ScheduleClock, created: Occurrence, following: Occurrence | None) -> None:
    zone_clock.made_wall, zone_clock.made_at = wall_text(created.wall), created.at
    _set_next(zone_clock, following, not_before=created.at)
    zone_clock.save()


def _set_next(
    zone_clock: ScheduleClock, following: Occurrence | None, *, not_before: datetime
) -> None:
    if following is None:
        zone_clock.next_wall, zone_clock.next_at, zone_clock.make_at = "", None, None
        return
    zone_clock.next_wall, zone_clock.next_at = wall_text(following.wall), following.at
    zone_clock.make_at = max(not_before, following.at - AHEAD) - EARLY


def _open_clock(series: ScheduleSeries, zone: str, first: Occurrence | None) -> ScheduleClock:
    opened = ScheduleClock(series=series, zone=zone)
    _set_next(opened, first, not_before=clock.now())
    opened.save()
    return opened


def _add_members(series: ScheduleSeries, zone_clock: ScheduleClock, people: Sequence[int]) -> None:
    rows = (ScheduleMember(series=series, clock=zone_clock, user_id=person) for person in people)
    ScheduleMember.objects.bulk_create(rows, batch_size=_AT_ONCE)


def _move_members(series: ScheduleSeries, zone_clock: ScheduleClock, timing: Timing) -> None:
    """Moves the members whose time zone has changed to the clock of their new zone.

    An occurrence that the new clock has already created is created for them now. They get the later
    ones with the other members. So each member gets each occurrence exactly once.
    """
    members = ScheduleMember.objects.filter(clock=zone_clock)
    people = list(members.order_by("user_id").values_list("user_id", flat=True))
    for zone, moved in people_by_zone(people).items():
        if zone == zone_clock.zone:
            continue
        other = series.clocks.filter(zone=zone).first()
        if other is None:
            last, wall = zone_clock.made_at or series.created_at, zone_clock.made_wall
            behind = wall_of(wall) if timing.wall and wall else None
            after = last - AHEAD * 2 if behind else last
            other = _open_clock(
                series, zone, timing.next_in(_zone(zone), after=after, behind=behind)
            )
        for start in range(0, len(moved), _AT_ONCE):
            members.filter(user_id__in=moved[start : start + _AT_ONCE]).update(clock=other)
        _catch_up(series, other, timing)


def _catch_up(series: ScheduleSeries, other: ScheduleClock, timing: Timing) -> None:
    """Creates the last occurrence of a clock for members who came after it was created."""
    if not other.made_wall or other.made_at is None:
        return
    late = ScheduleMember.objects.filter(clock=other, made_wall__lt=other.made_wall)
    people = list(late.order_by("user_id").values_list("user_id", flat=True))
    now = clock.now()
    expires_at = timing.expires_at(other.made_at)
    if people and (expires_at is None or expires_at > now):
        dues = [DueGroup(other.made_at, people, expires_at)]
        job, _ = accept_groups(
            build_series_intent(series), series.text, dues, total=len(people), now=now
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
