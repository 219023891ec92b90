"""A campaign at a local time: each person gets it then in their own zone, also around changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications.domain.errors import InvalidRequest
from notifications.features.campaigns.progress import campaign_progress
from notifications.infra import clock
from notifications.models import Broadcast, Campaign, UserNotificationPreference
from tests.integration.campaigns.factories import (
    act,
    counts,
    finish,
    fresh,
    go_on,
    make_campaign,
    make_students,
    messaged,
    recipients,
    schedule,
)

pytestmark = pytest.mark.django_db


def dues(made: Campaign) -> dict[datetime, set[int]]:
    """Returns the people of each time at which a campaign is due."""
    found: dict[datetime, set[int]] = {}
    for each in Broadcast.objects.filter(campaign=made):
        assert each.scheduled_at is not None
        found[each.scheduled_at] = set(each.recipients.values_list("recipient_id", flat=True))
    return found


def at(hour: int, minute: int = 0, *, day: int = 2, month: int = 5) -> datetime:
    return datetime(2030, month, day, hour, minute, tzinfo=UTC)


def test_each_zone_is_sent_at_its_own_nine_o_clock(frozen):
    tokyo, paris, lima = make_students("Asia/Tokyo", "Europe/Paris", "America/Lima")
    berlin = make_students("Europe/Berlin")[0]
    made = make_campaign(scheduled_at="2030-05-02T09:00:00", per_timezone=True)
    made = schedule(made)
    assert made.begins_at == at(19, day=1)  # nine o'clock on the second in Kiritimati

    frozen.forward((at(19, day=1) - frozen.now).total_seconds())
    go_on()
    assert dues(made) == {at(0): {tokyo}, at(7): {paris, berlin}, at(14): {lima}}
    assert messaged(made) == set()
    assert counts(made) == {"pending": 4}

    frozen.forward((at(0) - frozen.now).total_seconds())
    go_on()
    assert messaged(made) == {tokyo}
    frozen.forward((at(7) - frozen.now).total_seconds())
    go_on()
    assert messaged(made) == {tokyo, paris, berlin}
    assert fresh(made).status == "running"
    frozen.forward((at(14) - frozen.now).total_seconds())
    assert finish(made).status == "completed"
    assert counts(made) == {"sent": 4}
    groups = campaign_progress(fresh(made), now=clock.now()).groups
    assert [each.recipients for each in groups] == [1, 2, 1]


def test_the_zone_of_the_preferences_counts_first(frozen):
    person = make_students("Asia/Tokyo")[0]
    UserNotificationPreference.objects.create(user_id=person, timezone="America/Lima")
    made = act("launch", make_campaign(scheduled_at="2030-05-02T09:00:00", per_timezone=True))
    assert dues(made) == {at(14): {person}}


@pytest.mark.parametrize(("late", "expected"), [("send_now", at(12, day=1)), ("next_day", at(0))])
def test_a_zone_whose_time_is_past_is_sent_now_or_the_next_day(frozen, late, expected):
    tokyo, lima = make_students("Asia/Tokyo", "America/Lima")
    values = {"scheduled_at": "2030-05-01T09:00:00", "per_timezone": True, "late_zones": late}
    made = act("launch", make_campaign(**values))  # it is 21:00 in Tokyo, and 07:00 in Lima
    assert dues(made) == {expected: {tokyo}, at(14, day=1): {lima}}


def test_a_skipped_local_time_is_due_when_the_gap_ends(frozen):
    paris, utc = make_students("Europe/Paris", "UTC")
    frozen.now = datetime(2030, 3, 30, 12, tzinfo=UTC)  # clocks go from 02:00 to 03:00 on the 31st
    made = act("launch", make_campaign(scheduled_at="2030-03-31T02:30:00", per_timezone=True))
    assert dues(made) == {at(1, day=31, month=3): {paris}, at(2, 30, day=31, month=3): {utc}}


def test_a_repeated_local_time_is_due_at_its_first_occurrence(frozen):
    paris = make_students("Europe/Paris")[0]
    frozen.now = datetime(2030, 10, 26, 12, tzinfo=UTC)  # clocks go back at 03:00 on the 27th
    made = act("launch", make_campaign(scheduled_at="2030-10-27T02:30:00", per_timezone=True))
    assert dues(made) == {at(0, 30, day=27, month=10): {paris}}


def test_the_next_day_keeps_the_local_time_over_a_change(frozen):
    paris = make_students("Europe/Paris")[0]
    frozen.now = datetime(2030, 3, 30, 12, tzinfo=UTC)
    values = {"scheduled_at": "2030-03-30T09:00:00", "per_timezone": True}
    made = act("launch", make_campaign(**values, late_zones="next_day"))
    assert dues(made) == {at(7, day=31, month=3): {paris}}  # nine o'clock in summer time


def test_a_pause_holds_zones_and_those_of_a_past_time_follow_at_once(frozen):
    tokyo, lima = make_students("Asia/Tokyo", "America/Lima")
    made = act("launch", make_campaign(scheduled_at="2030-05-02T09:00:00", per_timezone=True))
    made = act("pause", made)
    frozen.forward((at(1) - frozen.now).total_seconds())
    go_on()
    assert messaged(made) == set()
    made = act("resume", made)
    go_on()
    assert messaged(made) == {tokyo}
    frozen.forward((at(14) - frozen.now).total_seconds())
    assert finish(made).status == "completed"
    assert recipients(made) == messaged(made) == {tokyo, lima}


def test_a_cancellation_ends_zones_that_are_not_due_yet(frozen):
    make_students("Asia/Tokyo", "America/Lima")
    made = act("launch", make_campaign(scheduled_at="2030-05-02T09:00:00", per_timezone=True))
    frozen.forward((at(0) - frozen.now).total_seconds())
    go_on()
    made = act("cancel", made)
    frozen.forward(86_400)
    go_on()
    assert counts(made) == {"sent": 1, "cancelled": 1}
    assert set(Broadcast.objects.values_list("cleared", flat=True)) == {True}


def test_a_person_who_moves_meanwhile_gets_it_once(frozen):
    person = make_students("Asia/Tokyo")[0]
    made = act("launch", make_campaign(scheduled_at="2030-05-02T09:00:00", per_timezone=True))
    UserNotificationPreference.objects.create(user_id=person, timezone="America/Lima")
    frozen.forward(timedelta(days=2).total_seconds())
    assert finish(made).status == "completed"
    assert counts(made) == {"sent": 1}


def test_a_local_time_that_is_past_everywhere_is_an_error(frozen):
    make_students()
    with pytest.raises(InvalidRequest) as caught:
        make_campaign(scheduled_at="2030-04-30T23:00:00", per_timezone=True)
    assert caught.value.code == "in_the_past"
    made = make_campaign(scheduled_at="2030-05-01T01:00:00", per_timezone=True)
    assert made.local_time == "2030-05-01T01:00:00"
    assert schedule(made).begins_at == frozen.now
