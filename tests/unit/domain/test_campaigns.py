"""The lifecycle of a campaign, its holdout, and its local times. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.campaigns.lifecycle import (
    TRANSITIONS,
    CampaignStatus,
    is_held_out,
    may_become,
)
from notifications.domain.campaigns.timing import (
    LateZones,
    due_in,
    first_instant,
    last_instant,
)

S = CampaignStatus
CAMPAIGN = str(UUID(int=7))


def test_every_state_is_in_the_table_and_the_last_two_are_ends():
    assert set(TRANSITIONS) == set(S)
    assert [each for each in S if not TRANSITIONS[each]] == [S.COMPLETED, S.CANCELLED]
    assert may_become("draft", S.RUNNING)
    assert not may_become("completed", S.RUNNING)


class TestHoldout:
    def test_it_is_stable_and_grows_with_the_percentage(self):
        ten = {person for person in range(5_000) if is_held_out(CAMPAIGN, person, 10)}
        twenty = {person for person in range(5_000) if is_held_out(CAMPAIGN, person, 20)}
        assert ten < twenty
        assert ten == {person for person in range(5_000) if is_held_out(CAMPAIGN, person, 10)}

    def test_its_size_is_the_percentage(self):
        found = sum(is_held_out(CAMPAIGN, person, 10) for person in range(20_000))
        assert abs(found - 2_000) < 5 * (20_000 * 0.1 * 0.9) ** 0.5

    def test_two_campaigns_hold_out_independently(self):
        other = str(UUID(int=8))
        both = sum(
            is_held_out(CAMPAIGN, person, 50) and is_held_out(other, person, 50)
            for person in range(20_000)
        )
        assert abs(both - 5_000) < 5 * (20_000 * 0.25 * 0.75) ** 0.5

    @pytest.mark.parametrize(("percent", "expected"), [(0, 0), (100, 1_000)])
    def test_the_ends(self, percent, expected):
        assert sum(is_held_out(CAMPAIGN, person, percent) for person in range(1_000)) == expected


WALLS = st.datetimes(min_value=datetime(2026, 1, 2), max_value=datetime(2036, 12, 30))
ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Paris",
        "America/Lima",
        "Asia/Tokyo",
        "Pacific/Kiritimati",
        "Etc/GMT+12",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Asia/Kathmandu",
    ]
)


@given(wall=WALLS, zone=ZONES)
def test_no_zone_is_due_outside_of_the_first_and_the_last(wall: datetime, zone: str):
    at = due_in(wall, ZoneInfo(zone), began=first_instant(wall), late=LateZones.SEND_NOW)
    assert first_instant(wall) <= at <= last_instant(wall)
    assert last_instant(wall) - first_instant(wall) == timedelta(hours=26)


@given(wall=WALLS, zone=ZONES, behind=st.integers(1, 10**6))
def test_a_late_zone_is_due_now_or_within_a_day_at_its_time(wall: datetime, zone: str, behind: int):
    there = ZoneInfo(zone)
    began = last_instant(wall) + timedelta(seconds=behind)
    assert due_in(wall, there, began=began, late=LateZones.SEND_NOW) == began
    at = due_in(wall, there, began=began, late=LateZones.NEXT_DAY)
    assert began <= at <= began + timedelta(hours=26)
    shown = at.astimezone(there).replace(tzinfo=None)
    if shown.time() != wall.time():  # the clock skips the time on that day
        before = at - timedelta(seconds=1)
        assert before.astimezone(there).utcoffset() != at.astimezone(there).utcoffset()


def test_at_the_end_of_the_calendar_a_late_zone_is_due_at_once():
    began = datetime(9999, 12, 31, 12, tzinfo=UTC)
    wall = datetime(9998, 1, 1)
    assert due_in(wall, UTC, began=began, late=LateZones.NEXT_DAY) == began
