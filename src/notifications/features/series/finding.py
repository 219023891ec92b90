"""Finds the people whose date has come, for series with the trigger `date`.

Each day is looked for once, when it begins in the easternmost zone: one walk over the users in the
order of their keys. A row of each person waits for the day in their own zone. The series stores how
far the walk has come, under its lock, so any process may continue it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import transaction

from directory.audiences import Audience
from notifications.domain.series.lifecycle import OPEN
from notifications.domain.series.steps import zone_days
from notifications.features.audiences.service import read_audience
from notifications.features.enrolling.entering import enter
from notifications.infra import clock
from notifications.models import MailSeries

PAGE = 1_000
MISSED_DAYS = 3
"""How many days are looked for at most where no process ran for longer."""
_DAY = timedelta(days=1)
_EASTERNMOST = timedelta(hours=14)


def date_rule(attribute: str, day: date) -> dict[str, Any]:
    """Returns the audience of those with a date in their attributes."""
    test = {"field": f"attributes.{attribute}", "op": "eq", "value": day.isoformat()}
    return {"rule": "segment", "criteria": test}


def first_scan(now: datetime) -> Mapping[str, Any]:
    """Returns the columns of a series that begins to look for people."""
    return {"scan_at": now, "scanned_day": zone_days(now) - _DAY, "scanned_after": 0}


def scanned(day: date) -> Mapping[str, Any]:
    """Returns the columns of a series that has looked for the people of a day."""
    following = datetime.combine(day + _DAY, time(), UTC) - _EASTERNMOST
    return {"scan_at": following, "scanned_day": day, "scanned_after": 0}


def find_people(series_id: int, *, now: datetime, until: float) -> int:
    """Enters people whose date has come; returns how many entered.

    until: the monotonic time at which this stops; the next call does the rest.

    Raises:
        InvalidRequest: the attribute cannot be read any more.
    """
    entered = 0
    while True:
        row = MailSeries.objects.to_scan(now).filter(pk=series_id).first()
        if row is None:
            return entered
        day = _day_of(row, now)
        audience = _audience(row, day, now)
        for last, people in audience.windows(after=_after(row, day), page=PAGE):
            is_over = clock.monotonic() >= until
            if people or is_over:  # few windows have people: the others need no transaction
                found = _enter_page(row, day, people, last=last, now=now)
                if found is None:
                    return entered
                entered += found
            if is_over:
                return entered
        _finish(row, day, now=now)


def _day_of(row: MailSeries, now: datetime) -> date:
    """Returns the day that is looked for: the next one, or the one that is begun."""
    oldest = zone_days(now) - (MISSED_DAYS - 1) * _DAY
    return max(row.scanned_day + _DAY, oldest) if row.scanned_day else oldest


def _after(row: MailSeries, day: date) -> int:
    """Returns how far the walk of a day has come: the one after `scanned_day` is begun."""
    return row.scanned_after if row.scanned_day == day - _DAY else 0


def _audience(row: MailSeries, day: date, now: datetime) -> Audience:
    return read_audience(date_rule(row.attribute, day - row.offset_days * _DAY), now=now)


def _locked(row: MailSeries, day: date, now: datetime) -> MailSeries | None:
    """Returns the locked row; None where it is not open, or another process is at another day."""
    fresh = MailSeries.objects.select_for_update(no_key=True, of=("self",)).get(pk=row.pk)
    is_open = fresh.status in OPEN and fresh.scan_at is not None and fresh.scan_at <= now
    return fresh if is_open and _day_of(fresh, now) == day else None


def _enter_page(
    row: MailSeries, day: date, people: list[int], *, last: int, now: datetime
) -> int | None:
    """Enters the people of a window that ends with the id `last`, and stores how far the walk is.

    None where the walk is over for this process.
    """
    with transaction.atomic():
        fresh = _locked(row, day, now)
        if fresh is None:
            return None
        after = _after(fresh, day)
        new = [person for person in people if person > after]
        entered = enter(fresh, dict.fromkeys(new, now), now=now, day=day)
        if last > after:
            fresh.store(scanned_day=day - _DAY, scanned_after=last)
    return entered


def _finish(row: MailSeries, day: date, *, now: datetime) -> None:
    """Notes that all people of a day were found, and when the next day is looked for."""
    with transaction.atomic():
        fresh = _locked(row, day, now)
        if fresh is not None:
            fresh.store(**scanned(day))
