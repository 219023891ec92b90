"""Computes when something that recurs happens next, on a wall clock. Pure.

A rule and a first wall-clock time give wall-clock times, as in RFC 5545. domain/wall_clock.py
converts them to instants. Deviations from the RFC are listed in docs/time.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta, tzinfo

from notifications.domain.recurrence_rule import Frequency, Rule
from notifications.domain.wall_clock import LAST, counted, counted_wall, day_exists, instant_of

MAX_PERIODS = 20_000
"""After so many periods without an occurrence, a rule counts as ended."""

_CYCLE = {Frequency.YEARLY: 400, Frequency.MONTHLY: 12 * 400}
"""Periods after which the calendar repeats. A date that is not in them never occurs."""
_DAY = timedelta(days=1)
_STEP = {
    Frequency.MINUTELY: timedelta(minutes=1),
    Frequency.HOURLY: timedelta(hours=1),
    Frequency.DAILY: _DAY,
    Frequency.WEEKLY: 7 * _DAY,
}
_SLACK = 2 * _DAY  # a gap moves a time by a day at most


def next_after(rule: Rule, *, start: datetime, zone: tzinfo, after: datetime) -> datetime | None:
    """Returns the first occurrence (UTC) later than an instant; None when there is none.

    start: the wall-clock time (naive) from which the rule counts; it occurs only if it fits
    the rule.
    """
    found = occurrences(rule, start=start, zone=zone, after=after)
    return next((instant for instant in found if instant > after), None)


def occurrences(
    rule: Rule, *, start: datetime, zone: tzinfo, after: datetime | None = None
) -> Iterator[datetime]:
    """Yields the instants (UTC) of a rule in order, each once, not those long before `after`."""
    for _, instant in timed_occurrences(rule, start=start, zone=zone, after=after):
        yield instant


def timed_occurrences(
    rule: Rule, *, start: datetime, zone: tzinfo, after: datetime | None = None
) -> Iterator[tuple[datetime, datetime]]:
    """Yields what `occurrences` yields, each with its wall-clock time (naive)."""
    begin = counted_wall(start)
    near = None
    if after is not None and rule.count is None:
        near = counted(after).astimezone(zone).replace(tzinfo=None) - _SLACK
    last: datetime | None = None
    for number, (wall, instant) in enumerate(_instants(rule, begin, zone, near)):
        if _is_over(rule, number, wall, instant):
            return
        if instant != last:
            yield wall, instant
        last = instant


def _is_over(rule: Rule, number: int, wall: datetime, instant: datetime) -> bool:
    if instant > LAST:
        return True
    if rule.count is not None:
        return number >= rule.count
    if rule.until is None:
        return False
    return (instant if rule.until.tzinfo else wall) > rule.until


def _instants(
    rule: Rule, start: datetime, zone: tzinfo, near: datetime | None
) -> Iterator[tuple[datetime, datetime]]:
    """Yields wall-clock times of a rule with their instants, without days that do not exist."""
    for wall in wall_times(rule, start, near):
        instant = instant_of(wall, zone)
        shown = instant.astimezone(zone).replace(tzinfo=None)
        if shown.date() == wall.date() or day_exists(wall.date(), zone):
            yield wall, instant.astimezone(UTC)


def wall_times(rule: Rule, start: datetime, near: datetime | None = None) -> Iterator[datetime]:
    """Yields the wall-clock times of a rule in order, without periods that end before `near`."""
    period = max(0, _periods_to(rule, start, near) - 1) if near and near > start else 0
    empty = 0
    limit = _CYCLE.get(rule.frequency, MAX_PERIODS)
    while empty < limit:
        begin = _period(rule, start, period)
        if begin is None:
            return
        found = [wall for wall in _chosen(rule, start, begin) if wall >= start]
        yield from found
        empty = 0 if found else empty + 1
        period = max(period + 1, _skipped_to(rule, start, begin))


def _periods_to(rule: Rule, start: datetime, wall: datetime) -> int:
    """Returns the number of the period of a wall-clock time, or of one shortly before."""
    if rule.frequency is Frequency.YEARLY:
        return (wall.year - start.year) // rule.interval
    if rule.frequency is Frequency.MONTHLY:
        return ((wall.year - start.year) * 12 + wall.month - start.month) // rule.interval
    return (wall - start) // (_STEP[rule.frequency] * rule.interval)


def _period(rule: Rule, start: datetime, number: int) -> datetime | None:
    """Returns the begin of a period; None past the end of the calendar."""
    if rule.frequency >= Frequency.MONTHLY:
        months = 12 if rule.frequency is Frequency.YEARLY else 1
        first = start.month - 1 if months == 1 else 0
        year, month = divmod(start.year * 12 + first + number * rule.interval * months, 12)
        return datetime(year, month + 1, 1) if year < MAXYEAR else None  # noqa: DTZ001
    begin = start
    if rule.frequency is Frequency.WEEKLY:
        begin -= (start.weekday() - rule.week_start) % 7 * _DAY
    try:
        begin += number * rule.interval * _STEP[rule.frequency]
    except OverflowError:
        return None
    return begin if begin.year < MAXYEAR else None


def _skipped_to(rule: Rule, start: datetime, begin: datetime) -> int:
    """Returns the next period that can fit the rule, where the month, day or hour of one cannot."""
    if rule.frequency > Frequency.DAILY:
        return 0
    midnight = datetime.combine(begin.date(), time())
    if rule.by_month and begin.month not in rule.by_month:
        target = (midnight.replace(day=1) + 32 * _DAY).replace(day=1)
    elif not _fits_day(rule, begin.date()):
        target = midnight + _DAY
    elif rule.frequency < Frequency.DAILY and rule.by_hour and begin.hour not in rule.by_hour:
        target = begin.replace(minute=0) + timedelta(hours=1)
    else:
        return 0
    return -((start - target) // (_STEP[rule.frequency] * rule.interval))


def _chosen(rule: Rule, start: datetime, begin: datetime) -> list[datetime]:
    """Returns the times of one period, reduced to the positions of BYSETPOS."""
    if rule.frequency >= Frequency.DAILY:
        hours, minutes = rule.by_hour or (start.hour,), rule.by_minute or (start.minute,)
        days = _days(rule, start, begin.date())
    else:
        days = [begin.date()] if _fits_day(rule, begin.date()) else []
        hours = (begin.hour,) if not rule.by_hour or begin.hour in rule.by_hour else ()
        minutes = _minutes(rule, start, begin)
    within = start.time()  # what a rule does not set, e.g. seconds, is as at the start
    times = [within.replace(hour, minute) for hour, minute in itertools.product(hours, minutes)]
    found = [datetime.combine(day, at) for day, at in itertools.product(days, times)]
    if not rule.by_set_pos:
        return found
    size = len(found)
    places = {at - 1 if at > 0 else size + at for at in rule.by_set_pos}
    return [found[place] for place in sorted(places) if 0 <= place < size]


def _minutes(rule: Rule, start: datetime, begin: datetime) -> tuple[int, ...]:
    if rule.frequency is Frequency.HOURLY:
        return rule.by_minute or (start.minute,)
    return (begin.minute,) if not rule.by_minute or begin.minute in rule.by_minute else ()


def _days(rule: Rule, start: datetime, begin: date) -> list[date]:
    """Returns the days of a period of a day or longer, in order."""
    if rule.frequency is Frequency.DAILY:
        return [begin] if _fits_day(rule, begin) else []
    if rule.frequency is Frequency.WEEKLY:
        wanted = {weekday for _, weekday in rule.by_day} or {start.weekday()}
        days = [begin + number * _DAY for number in range(7)]
        months = rule.by_month or range(1, 13)
        return [day for day in days if day.weekday() in wanted and day.month in months]
    if rule.frequency is Frequency.MONTHLY:
        fits = not rule.by_month or begin.month in rule.by_month
        return _month_days(rule, start, begin) if fits else []
    return _year_days(rule, start, begin.year)


def _year_days(rule: Rule, start: datetime, year: int) -> list[date]:
    if rule.by_day and not rule.by_month and not rule.by_month_day:
        return _nth_weekdays(rule, date(year, 1, 1), date(year + 1, 1, 1))
    months = rule.by_month or (range(1, 13) if rule.by_month_day else (start.month,))
    if not rule.by_day or not rule.by_month_day or rule.by_month:
        return [day for month in months for day in _month_days(rule, start, date(year, month, 1))]
    in_year = set(_nth_weekdays(rule, date(year, 1, 1), date(year + 1, 1, 1)))
    days = _days_between(date(year, 1, 1), date(year + 1, 1, 1))
    return [day for day in days if day in in_year and _fits_month_day(rule, day)]


def _month_days(rule: Rule, start: datetime, first: date) -> list[date]:
    behind = (first + 32 * _DAY).replace(day=1)
    days = _nth_weekdays(rule, first, behind) if rule.by_day else _days_between(first, behind)
    if rule.by_month_day:
        return [day for day in days if _fits_month_day(rule, day)]
    return days if rule.by_day else [day for day in days if day.day == start.day]


def _nth_weekdays(rule: Rule, first: date, behind: date) -> list[date]:
    """Returns the days of [first, behind) that BYDAY names: every Tuesday, or the second."""
    found: set[date] = set()
    for ordinal, weekday in rule.by_day:
        earliest = first + (weekday - first.weekday()) % 7 * _DAY
        days = [earliest + 7 * number * _DAY for number in range(53)]
        days = [day for day in days if day < behind]
        if ordinal == 0:
            found.update(days)
        elif abs(ordinal) <= len(days):
            found.add(days[ordinal - 1 if ordinal > 0 else ordinal])
    return sorted(found)


def _days_between(first: date, behind: date) -> list[date]:
    return [first + number * _DAY for number in range((behind - first).days)]


def _fits_day(rule: Rule, day: date) -> bool:
    """Whether a day fits BYMONTH, BYMONTHDAY and BYDAY in rules of a day or shorter."""
    if rule.by_month and day.month not in rule.by_month:
        return False
    if rule.by_day and day.weekday() not in {weekday for _, weekday in rule.by_day}:
        return False
    return _fits_month_day(rule, day)


def _fits_month_day(rule: Rule, day: date) -> bool:
    if not rule.by_month_day:
        return True
    length = ((day.replace(day=1) + 32 * _DAY).replace(day=1) - day.replace(day=1)).days
    return day.day in rule.by_month_day or day.day - length - 1 in rule.by_month_day
