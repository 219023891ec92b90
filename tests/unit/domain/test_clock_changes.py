"""The time engine around changes of the clock, held against clocks read minute by minute."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest

from notifications.domain.digest_periods import digest_period
from notifications.domain.quiet_hours import is_quiet, quiet_until
from notifications.domain.wall_clock import change_between, day_exists, instant_of
from tests.unit.domain.clock_oracle import (
    DAY,
    MINUTE,
    SEED,
    Change,
    changes_of,
    distinct_changes,
    sampled_changes,
    walls,
    zones,
)
from tests.unit.domain.clock_oracle import windows as windows_at

SHARDS = 16
NEAR = timedelta(hours=3)


def check_quiet_hours(change: Change, step: int) -> None:
    """Every minute near a change: released at the first minute outside the window, no sooner."""
    first = change.at - NEAR
    shown = walls(change.zone, first, 4 * 24 * 60)
    for start, end in windows_at(change, random.Random(f"{SEED}{change}")):
        quiet = [start != end and is_quiet(wall.time(), start=start, end=end) for wall in shown]
        free = len(quiet)
        release: list[int] = [free] * len(quiet)
        for index in range(len(quiet) - 1, -1, -1):
            free = free if quiet[index] else index
            release[index] = free
        for index in range(0, int(2 * NEAR / MINUTE), step):
            now = first + index * MINUTE
            expected = first + release[index] * MINUTE if quiet[index] else None
            found = quiet_until(now=now, start=start, end=end, zone=change.zone)
            assert found == expected, (change, start, end, now)


def check_digests(change: Change, step: int) -> None:
    """Every minute near a change: the next closing is the one that a reader of clocks would see."""
    first = change.at - 2 * DAY
    shown = walls(change.zone, first, 11 * 24 * 60)
    closings: dict[str, list[int]] = {"hourly": [], "daily": [], "weekly": []}
    latest = shown[0].date()
    for index, (before, wall) in enumerate(itertools.pairwise(shown), 1):
        if wall.minute == 0 or wall - before != MINUTE:
            closings["hourly"].append(index)
        if wall.date() > latest:
            closings["daily"].append(index)
            if wall.isocalendar()[:2] > latest.isocalendar()[:2]:
                closings["weekly"].append(index)
            latest = wall.date()
    for frequency, at in closings.items():
        names: dict[str, int] = {}
        for index in range(2 * 24 * 60 - 180, 2 * 24 * 60 + 180, step):
            name, closes = digest_period(
                frequency=frequency, now=first + index * MINUTE, zone=change.zone
            )
            expected = next(minute for minute in at if minute > index)
            assert closes == first + expected * MINUTE, (change, frequency, index)
            assert names.setdefault(name, expected) == expected, (change, name)
        assert len(names) == len(set(names.values()))


def check_instants(change: Change) -> None:
    """Every wall time near a change: its first showing, or the end of the gap that swallowed it."""
    first = change.at - 2 * DAY
    shown = walls(change.zone, first, 4 * 24 * 60)
    seen: dict[object, int] = {}
    for index, wall in enumerate(shown):
        seen.setdefault(wall, index)
    wall = shown[2 * 24 * 60] - NEAR
    while wall < shown[2 * 24 * 60] + NEAR:
        index = seen.get(wall, 2 * 24 * 60)
        assert instant_of(wall, change.zone) == first + index * MINUTE, (change, wall)
        wall += MINUTE
    dates = {wall.date() for wall in shown}
    for number in range(5):
        day = shown[0].date() + number * DAY
        assert day_exists(day, change.zone) == (day in dates) or day > max(dates), (change, day)


@pytest.fixture(scope="module")
def sample() -> list[Change]:
    return sampled_changes(40)


def test_quiet_hours_end_at_the_first_minute_outside_the_window(sample):
    for change in sample:
        check_quiet_hours(change, step=7)


def test_digests_close_once_per_hour_day_and_week_that_exists(sample):
    for change in sample[:15]:
        check_digests(change, step=7)


def test_wall_times_have_their_first_instant_or_that_of_the_gap_s_end(sample):
    for change in sample[:25]:
        check_instants(change)


@pytest.mark.parametrize(
    ("zone", "year"),
    [("Pacific/Apia", 2011), ("Pacific/Kwajalein", 1993), ("America/St_Johns", 2010),
     ("Australia/Lord_Howe", 2029), ("America/Havana", 2012), ("America/Sao_Paulo", 2018),
     ("Africa/Casablanca", 2030), ("Africa/El_Aaiun", 2030), ("Asia/Pyongyang", 2018),
     ("Antarctica/Troll", 2030), ("America/Caracas", 2016), ("Pacific/Kiritimati", 1994),
     ("Asia/Kathmandu", 1990)],
)  # fmt: skip
def test_the_strangest_clocks_obey_as_well(zone, year):
    first = datetime(year, 1, 1, tzinfo=UTC) - DAY
    for change in changes_of(zone, first, first + 367 * DAY):
        check_quiet_hours(change, step=1)
        check_digests(change, step=5)
        check_instants(change)


@pytest.fixture(scope="session")
def every_change() -> list[Change]:
    return distinct_changes()


@pytest.mark.parametrize("shard", range(SHARDS))
class TestProof:
    """Every zone, every change from 1990 to 2037, every minute near it."""

    pytestmark = pytest.mark.proof

    def test_all_quiet_hours(self, every_change, shard):
        for change in every_change[shard::SHARDS]:
            check_quiet_hours(change, step=1)

    def test_all_digests(self, every_change, shard):
        for change in every_change[shard::SHARDS]:
            check_digests(change, step=3)

    def test_all_instants(self, every_change, shard):
        for change in every_change[shard::SHARDS]:
            check_instants(change)


@pytest.mark.proof
def test_no_clock_is_set_twice_within_two_days():
    """`change_between` finds the only change between two instants that are two days apart."""
    for name in zones():
        found = list(changes_of(name))
        for one, other in itertools.pairwise(found):
            assert other.at - one.at > 2 * DAY, one
            assert change_between(one.at - MINUTE, one.at + DAY, one.zone) == one.at
