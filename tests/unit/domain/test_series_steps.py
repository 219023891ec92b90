"""When the steps of a series are due, in every zone and across clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.learning.choice import LearningRule, choose_time
from notifications.domain.learning.counts import HourCounts
from notifications.domain.learning.hours import hours_within
from notifications.domain.learning.model import Model
from notifications.domain.series.steps import (
    LATE,
    MOST_DAYS,
    MOST_MINUTES,
    MOST_WINDOW_HOURS,
    SeriesStep,
    due_after,
    due_again,
    entry_base,
    next_base,
    next_local,
    zone_days,
)

PARIS, NEW_YORK = ZoneInfo("Europe/Paris"), ZoneInfo("America/New_York")
APIA, KIRITIMATI = ZoneInfo("Pacific/Apia"), ZoneInfo("Pacific/Kiritimati")
ZONES = sorted(available_timezones())


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def step(days: int = 0, minutes: int = 0, local: str = "") -> SeriesStep:
    return SeriesStep(
        template_path="t",
        wait_days=days,
        wait_minutes=minutes,
        at=time.fromisoformat(local) if local else None,
    )


@pytest.mark.parametrize(
    ("base", "waits", "zone", "due"),
    [
        ("2030-05-01T10:00", step(), PARIS, "2030-05-01T10:00"),
        ("2030-05-01T10:00", step(minutes=90), PARIS, "2030-05-01T11:30"),
        ("2030-05-01T10:00", step(days=2), PARIS, "2030-05-03T10:00"),
        # 31 March 2030: 02:00 becomes 03:00 in Paris. A day later is the same local time.
        ("2030-03-30T10:00", step(days=1), PARIS, "2030-03-31T09:00"),
        ("2030-03-30T10:00", step(minutes=1440), PARIS, "2030-03-31T10:00"),
        # 02:30 is skipped: the end of the gap is 01:00 UTC.
        ("2030-03-30T01:30", step(days=1), PARIS, "2030-03-31T01:00"),
        ("2030-03-30T12:00", step(local="02:30"), PARIS, "2030-03-31T01:00"),
        # 27 October 2030: 02:30 comes twice in Paris, at 00:30 and at 01:30 UTC.
        ("2030-10-26T12:00", step(local="02:30"), PARIS, "2030-10-27T00:30"),
        ("2030-10-27T00:45", step(local="02:30"), PARIS, "2030-10-28T01:30"),
        ("2030-10-27T01:30", step(minutes=10), PARIS, "2030-10-27T01:40"),
        # The next local time after the wait: today if it is ahead, else tomorrow.
        ("2030-05-01T06:00", step(local="09:00"), PARIS, "2030-05-01T07:00"),
        ("2030-05-01T08:00", step(local="09:00"), PARIS, "2030-05-02T07:00"),
        ("2030-05-01T07:00", step(local="09:00"), PARIS, "2030-05-01T07:00"),
        ("2030-05-01T08:00", step(days=2, local="09:00"), PARIS, "2030-05-04T07:00"),
        ("2030-05-01T20:00", step(local="09:00"), NEW_YORK, "2030-05-02T13:00"),
        # Samoa had no 30 December 2011.
        ("2011-12-29T20:00", step(days=1), APIA, "2011-12-30T10:00"),
        ("2011-12-29T20:00", step(days=1, local="09:00"), APIA, "2011-12-30T19:00"),
    ],
)
def test_when_a_step_is_due(base: str, waits: SeriesStep, zone: ZoneInfo, due: str) -> None:
    assert due_after(at(base), waits, zone) == at(due)


moments = st.datetimes(
    min_value=datetime(1990, 1, 1),
    max_value=datetime(2100, 1, 1),
    timezones=st.just(UTC),
)
steps = st.builds(
    SeriesStep,
    template_path=st.just("t"),
    wait_days=st.integers(0, MOST_DAYS),
    wait_minutes=st.integers(0, MOST_MINUTES),
    at=st.none() | st.times().map(lambda found: found.replace(second=0, microsecond=0)),
)
learned_steps = st.builds(
    SeriesStep,
    template_path=st.just("t"),
    learns=st.just(True),
    window_hours=st.integers(2, MOST_WINDOW_HOURS),
    at_night=st.booleans(),
    learning_holdout_percent=st.floats(1, 50),
)
cells = st.dictionaries(
    st.integers(0, 167),
    st.integers(0, 50).map(lambda number: HourCounts(number, number // 2, number // 2)),
    max_size=20,
)


@given(base=moments, waits=steps, name=st.sampled_from(ZONES))
def test_a_step_is_never_early_and_at_most_two_days_late(
    base: datetime, waits: SeriesStep, name: str
) -> None:
    due = due_after(base, waits, ZoneInfo(name))
    longest = timedelta(days=waits.wait_days + 3, minutes=waits.wait_minutes)
    assert base <= due <= base + longest
    assert due.tzinfo is UTC


@given(since=moments, local=st.times(), name=st.sampled_from(ZONES))
def test_a_local_time_is_what_the_clock_shows_or_the_end_of_a_gap(
    since: datetime, local: time, name: str
) -> None:
    local = local.replace(second=0, microsecond=0)
    zone = ZoneInfo(name)
    found = next_local(local, zone, since=since)
    assert found >= since
    shown = found.astimezone(zone)
    before = (found - timedelta(seconds=1)).astimezone(zone)
    assert shown.time().replace(tzinfo=None) == local or shown.utcoffset() != before.utcoffset()


@given(
    base=moments,
    found=learned_steps,
    own=cells,
    everyone=cells,
    person=st.integers(1, 10**9),
    name=st.sampled_from(ZONES),
)
def test_a_learned_hour_is_within_its_window_and_by_day(
    base: datetime,
    found: SeriesStep,
    own: dict[int, HourCounts],
    everyone: dict[int, HourCounts],
    person: int,
    name: str,
) -> None:
    zone = ZoneInfo(name)
    rule = LearningRule("s", found.learning_holdout_percent, 5, at_night=found.at_night)
    instants = hours_within(base, zone, found.window_hours)
    chosen = choose_time(rule, Model(own, everyone), person, instants, zone)
    assert base <= chosen.due_at < base + timedelta(hours=24)
    by_night = not 8 <= chosen.due_at.astimezone(zone).hour < 21
    assert not by_night or found.at_night or chosen.due_at == base
    assert choose_time(rule, Model(own, everyone), person, instants, zone) == chosen


@given(found=steps | learned_steps)
def test_a_stored_step_is_read_as_it_was(found: SeriesStep) -> None:
    assert SeriesStep.read(found.stored()) == found


def test_a_late_step_waits_for_its_local_time_again() -> None:
    now = at("2030-05-10T12:00")
    local, plain = step(local="09:00"), step()
    assert due_again(now - LATE, local, PARIS, now=now) == now
    assert due_again(now - LATE * 2, local, PARIS, now=now) == at("2030-05-11T07:00")
    assert due_again(now - LATE * 2, plain, PARIS, now=now) == now


def test_the_next_wait_counts_from_the_due_time_unless_it_was_late() -> None:
    now = at("2030-05-10T12:00")
    assert next_base(now - timedelta(seconds=3), now=now) == now - timedelta(seconds=3)
    assert next_base(now - timedelta(days=7), now=now) == now


def test_the_first_wait_counts_from_the_entry_or_from_the_day_in_the_own_zone() -> None:
    entered = at("2030-05-10T12:00")
    assert entry_base(entered, None, PARIS) == entered
    assert entry_base(entered, date(2030, 5, 11), PARIS) == at("2030-05-10T22:00")
    assert entry_base(entered, date(2030, 5, 11), KIRITIMATI) == at("2030-05-10T10:00")


def test_the_latest_date_is_that_of_the_easternmost_zone() -> None:
    assert zone_days(at("2030-05-10T09:59")) == date(2030, 5, 10)
    assert zone_days(at("2030-05-10T10:00")) == date(2030, 5, 11)
    assert at("2030-05-10T10:00").astimezone(KIRITIMATI).date() == date(2030, 5, 11)
