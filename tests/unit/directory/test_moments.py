"""Times that callers give: one range, one parser."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.moments import (
    EARLIEST,
    LATEST,
    InvalidMoment,
    MomentOutOfRange,
    check_moment,
    clamp_moment,
    read_day,
    read_moment,
    read_moment_or_wall_time,
    read_stored,
)
from notifications.domain.wall_clock import LAST

ACCEPTED = [
    ("2030-01-31T09:00:00Z", datetime(2030, 1, 31, 9, tzinfo=UTC)),
    ("2030-01-31t09:00:00z", datetime(2030, 1, 31, 9, tzinfo=UTC)),
    ("2030-01-31 09:00:00+01:00", datetime(2030, 1, 31, 8, tzinfo=UTC)),
    ("2030-01-31T09:00:00-0930", datetime(2030, 1, 31, 18, 30, tzinfo=UTC)),
    ("2030-01-31T09:00", datetime(2030, 1, 31, 9, tzinfo=UTC)),
    ("2030-01-31", datetime(2030, 1, 31, tzinfo=UTC)),
    ("2030-01-31T09:00:00.1234567899Z", datetime(2030, 1, 31, 9, 0, 0, 123456, tzinfo=UTC)),
    ("1970-01-01T00:00:00Z", EARLIEST),
    ("1969-12-31T10:00:00-14:00", EARLIEST),
    ("2199-12-31T23:59:59.999999Z", LATEST),
    ("2199-12-31T23:59:59.9999999999Z", LATEST),
    ("2200-01-01T13:59:59.999999+14:00", LATEST),
]
OUT_OF_RANGE = [
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+02:00",
    "0001-01-01T00:00:00+14:00",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00+00:01",
    "2199-12-31T23:59:59-00:01",
    "2200-01-02T00:00:01",
    "9999-12-31",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59.9999999-05:00",
    "10000-01-01T00:00:00Z",
    "+010000-01-01T00:00:00Z",
    "-000001-01-01T00:00:00Z",
]
NO_TIMES = [
    "",
    "soon",
    "infinity",
    "20300131T090000Z",
    "20300131",
    "2030-W05-1",
    "2030-031",
    "2030-02-30T00:00:00Z",
    "2030-01-31T24:00:00Z",
    "2030-01-31T09:00:60Z",
    "2030-01-31T09:00:00+24:00",
    "2030-01-31T09:00:00+01:60",
    "2030-01-31T09Z",
    "2030-01-31T09:00:00 Z",
    "2030-01-31T09:00:00Z\n",
    "\uff12\uff10\uff13\uff10-01-31T09:00:00Z",
    "1" * 10_000,
]


@pytest.mark.parametrize(("text", "moment"), ACCEPTED)
def test_a_time_within_the_range_is_read(text, moment):
    assert read_moment(text) == moment


@pytest.mark.parametrize("text", OUT_OF_RANGE)
def test_a_time_outside_the_range_has_its_own_error(text):
    for read in (read_moment, read_moment_or_wall_time):
        with pytest.raises(MomentOutOfRange, match="1970-01-01 to 2199-12-31"):
            read(text)


@pytest.mark.parametrize("text", NO_TIMES)
def test_a_text_that_is_not_a_time_is_refused(text):
    for read in (read_moment, read_moment_or_wall_time):
        with pytest.raises(InvalidMoment) as caught:
            read(text)
        assert caught.value.code == "invalid_time"


def test_a_day_has_no_time_of_day():
    assert read_day("2199-12-31") == date(2199, 12, 31)
    for text, code in (
        ("9999-12-31", "time_out_of_range"),
        ("2030-01-31T00:00", "invalid_time"),
        ("2030-02-30", "invalid_time"),
        ("x", "invalid_time"),
    ):
        with pytest.raises(InvalidMoment, match="must") as caught:
            read_day(text)
        assert caught.value.code == code


@given(
    st.datetimes(timezones=st.none() | st.timezones(no_cache=True))
    | st.builds(
        lambda when, minutes: when.replace(tzinfo=timezone(timedelta(minutes=minutes))),
        st.datetimes(),
        st.integers(-1439, 1439),
    )
)
def test_any_datetime_is_in_the_range_or_refused_and_never_an_overflow(moment):
    inside = clamp_moment(moment)
    assert EARLIEST <= inside <= LATEST
    assert inside.astimezone(UTC).utcoffset() == timedelta()
    try:
        assert check_moment(moment) == inside
    except MomentOutOfRange:
        assert inside in (EARLIEST, LATEST)


@given(st.text(max_size=40) | st.datetimes().map(str) | st.datetimes().map(datetime.isoformat))
def test_any_text_is_a_time_or_refused(text):
    with contextlib.suppress(InvalidMoment):
        assert EARLIEST <= read_moment(text) <= LATEST
    assert EARLIEST <= read_stored(text) <= LATEST


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("infinity", LATEST),
        ("-infinity", EARLIEST),
        ("10000-01-01 00:00:00+00", LATEST),
        ("0044-03-15 12:00:00+00 BC", EARLIEST),
        ("9999-12-31 23:59:59-14", LATEST),
        ("2030-05-01 12:00:00.5+00", datetime(2030, 5, 1, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2030-05-01 12:00:00", datetime(2030, 5, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_stored_time_outside_the_range_is_clamped(text, moment):
    assert read_stored(text) == moment


def test_nothing_recurs_after_the_range():
    assert LAST == LATEST
