"""Ranges: days of every zone, series, and their parts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise
from operator import attrgetter
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.analytics.counts import bit_changes, names_of
from notifications.domain.analytics.periods import (
    Grain,
    MetricInterval,
    Span,
    days_of,
    floor_to,
    period_of,
    pieces_of,
)
from notifications.domain.errors import InvalidRequest

ZONES = sorted(available_timezones())


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-06-01", 24), ("2026-10-25", 25)]
)
def test_a_day_on_which_clocks_change_has_23_or_25_hours(day, hours):
    period = period_of(day, day, "Europe/Paris")
    assert period.span.end - period.span.start == timedelta(hours=hours)
    assert len(period.buckets(MetricInterval.HOUR)) == hours
    assert (period.first, period.last) == (date.fromisoformat(day), date.fromisoformat(day))


def test_a_zone_with_a_quarter_hour_offset_is_exact():
    period = period_of("2026-11-30", "2026-11-30", "Asia/Kathmandu")
    assert period.span.start == datetime(2026, 11, 29, 18, 15, tzinfo=UTC)
    parts = [(piece.grain, piece.end - piece.start) for piece in pieces_of([period.span])]
    assert parts == [
        (Grain.QUARTER, timedelta(minutes=45)),
        (Grain.HOUR, timedelta(hours=23)),
        (Grain.QUARTER, timedelta(minutes=15)),
    ]


@given(
    zone=st.sampled_from(ZONES),
    first=st.dates(date(2001, 1, 1), date(2060, 1, 1)),
    days=st.integers(1, 40),
    interval=st.sampled_from([None, *MetricInterval]),
)
def test_buckets_and_pieces_cover_the_range_once(zone, first, days, interval):
    last = first + timedelta(days=days)
    period = period_of(first.isoformat(), last.isoformat(), zone)
    buckets = period.buckets(interval)
    assert (buckets[0].start, buckets[-1].end) == period.span
    assert all(one.end == two.start for one, two in pairwise(buckets))
    assert all(bucket.start < bucket.end for bucket in buckets)
    found = [list(pieces) for _, pieces in groupby(pieces_of(buckets), attrgetter("bucket"))]
    for bucket, pieces in zip(buckets, found, strict=True):
        assert (pieces[0].start, pieces[-1].end) == bucket
        assert all(one.end == two.start for one, two in pairwise(pieces))
        for piece in pieces:
            assert floor_to(piece.start, piece.grain) == piece.start
            assert floor_to(piece.end, piece.grain) == piece.end
        assert len(pieces) <= 5


def test_weeks_begin_on_monday_and_the_first_and_last_are_cut():
    buckets = period_of("2026-11-26", "2026-12-01", "UTC").buckets(MetricInterval.WEEK)
    days = [
        (bucket.start.date().isoformat(), (bucket.end - bucket.start).days) for bucket in buckets
    ]
    assert days == [("2026-11-26", 4), ("2026-11-30", 2)]


def test_a_day_that_a_zone_skipped_has_no_bucket():
    buckets = period_of("2011-12-29", "2011-12-31", "Pacific/Apia").buckets(MetricInterval.DAY)
    assert [bucket.end - bucket.start for bucket in buckets] == [timedelta(days=1)] * 2


def test_times_are_taken_as_they_are_and_the_end_is_not_included():
    period = period_of("2026-11-30T09:15:00+01:00", "2026-11-30T10:00", "Europe/Paris")
    assert period.span == Span(
        datetime(2026, 11, 30, 8, 15, tzinfo=UTC), datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
    )
    assert pieces_of([Span(*period.span)]) == [(0, Grain.QUARTER, *period.span)]


@pytest.mark.parametrize(
    ("start", "end", "zone", "code"),
    [
        ("2026-11-30T09:10:00", "2026-12-01", "UTC", "range_not_aligned"),
        ("2026-11-30", "2026-12-01T00:00:01Z", "UTC", "range_not_aligned"),
        ("yesterday", "2026-12-01", "UTC", "invalid_date"),
        ("1999-12-31", "2026-12-01", "UTC", "invalid_date"),
        ("2026-12-02", "2026-12-01", "UTC", "range_reversed"),
        ("2026-12-01T00:00Z", "2026-12-01T00:00Z", "UTC", "range_reversed"),
        ("2020-01-01", "2026-12-01", "UTC", "range_too_long"),
        ("2026-11-30", "2026-12-01", "Mars/Base", "unknown_timezone"),
    ],
)
def test_ranges_are_refused(start, end, zone, code):
    with pytest.raises(InvalidRequest) as caught:
        period_of(start, end, zone)
    assert caught.value.code == code


def test_a_series_is_bounded():
    with pytest.raises(InvalidRequest) as caught:
        period_of("2026-01-01", "2026-12-31", "UTC").buckets(MetricInterval.HOUR)
    assert caught.value.code == "too_many_intervals"


def test_days_of_python_calls_are_whole():
    assert days_of(date(2026, 11, 30), date(2026, 11, 30)).span == Span(
        datetime(2026, 11, 30, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    )
    assert period_of("2026-11-30", "2026-11-30", "").zone is UTC


def test_the_counts_of_states_and_bits():
    assert names_of("pending", was_sent=True) == ()
    assert names_of("failed", was_sent=False) == ("failed",)
    assert names_of("failed", was_sent=True) == ("sent", "failed", "bounced")
    assert dict(bit_changes(0b1001, 0b1010)) == {"opened_human": 1, "opened_machine": -1}
