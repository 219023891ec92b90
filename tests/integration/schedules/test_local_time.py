"""`timezone` and `local_time`: the same wall-clock time in every zone, at different instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.domain.errors import InvalidRequest
from notifications.features.scheduling.service import ScheduleService
from notifications.models import (
    DeliveryBatch,
    Notification,
    NotificationMessage,
    UserNotificationPreference,
)
from tests.integration.factories import make_user
from tests.integration.preferences.conftest import work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("frozen")]


def schedule(*people: User, **more: Any) -> Any:
    body = {
        "recipients": [person.pk for person in people],
        "title": "Lesson",
        "message": "Soon",
        "scheduled_at": "2030-05-02T00:00:00Z",
        **more,
    }
    return ScheduleService().schedule(body=body, caller=SYSTEM)


def due_times(response: Any) -> list[str]:
    rows = [Notification.objects.get(pk=key) for key in response.notification_ids]
    return [row.scheduled_at.astimezone(UTC).isoformat()[:16] for row in rows]


def test_each_person_gets_it_at_nine_in_their_own_zone() -> None:
    zones = ("Asia/Tokyo", "Europe/Berlin", "America/New_York", "Europe/Berlin")
    people = [make_user(timezone=zone) for zone in zones]

    response = schedule(*people, local_time="09:00")

    assert due_times(response) == [
        "2030-05-02T00:00",
        "2030-05-02T07:00",
        "2030-05-02T13:00",
        "2030-05-02T07:00",
    ]
    assert response.scheduled_at == datetime(2030, 5, 2, tzinfo=UTC)
    assert response.count == 4
    assert sorted(DeliveryBatch.objects.values_list("size", flat=True)) == [1, 1, 2]


def test_the_zone_of_the_preferences_comes_first() -> None:
    person = make_user(timezone="Europe/Berlin")
    UserNotificationPreference.objects.create(user=person, timezone="Asia/Tokyo")

    assert due_times(schedule(person, local_time="09:00")) == ["2030-05-02T00:00"]


def test_a_gap_moves_to_its_end_and_an_overlap_counts_once() -> None:
    berlin = make_user(timezone="Europe/Berlin")

    gap = schedule(berlin, local_time="02:30", scheduled_at="2031-03-30T00:00:00Z")
    overlap = schedule(berlin, local_time="02:30", scheduled_at="2030-10-27T00:00:00Z")

    assert due_times(gap) == ["2031-03-30T01:00"]  # the end of the gap, 03:00 in Berlin
    assert due_times(overlap) == ["2030-10-27T00:30"]  # the first of the two instants


def test_a_time_without_offset_is_one_of_the_named_zone() -> None:
    response = schedule(make_user(), scheduled_at="2030-05-02T09:00:00", timezone="Europe/Berlin")

    assert due_times(response) == ["2030-05-02T07:00"]


def test_the_day_is_that_of_the_named_zone() -> None:
    """22:30 UTC on the first is the second of May in Berlin."""
    response = schedule(
        make_user(timezone="America/New_York"),
        scheduled_at="2030-05-01T22:30:00Z",
        timezone="Europe/Berlin",
        local_time="09:00",
    )

    assert due_times(response) == ["2030-05-02T13:00"]


TODAY = {"scheduled_at": "2030-05-01T12:00:00Z", "local_time": "09:00"}
"""It is noon UTC: nine has passed in Berlin, and not in New York."""


def test_a_person_whose_time_has_passed_gets_it_late() -> None:
    berlin, york = make_user(timezone="Europe/Berlin"), make_user(timezone="America/New_York")

    response = schedule(berlin, york, **TODAY)

    assert response.count == 2
    assert work() == 1
    assert NotificationMessage.objects.get(status="delivered").user_id == berlin.pk


@pytest.mark.parametrize(
    ("misfire", "sent"),
    [
        ({"misfire": "skip"}, False),
        ({"misfire": "send_within", "grace_minutes": 299}, False),
        ({"misfire": "send_within", "grace_minutes": 301}, True),
    ],
)
def test_the_misfire_rule_skips_a_person_whose_time_has_passed(
    misfire: dict[str, Any], sent: bool
) -> None:
    berlin, york = make_user(timezone="Europe/Berlin"), make_user(timezone="America/New_York")

    response = schedule(berlin, york, **TODAY, **misfire)

    assert response.count == 1 + sent
    assert response.missed == ([] if sent else [berlin.pk])


def test_a_time_that_has_passed_for_all_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        schedule(make_user(timezone="Europe/Berlin"), **TODAY)
    assert caught.value.code == "in_the_past"


@pytest.mark.parametrize(("misfire", "status"), [("skip", "withheld"), ("send_late", "sent")])
def test_an_outage_longer_than_the_grace_withholds(frozen: Any, misfire: str, status: str) -> None:
    response = schedule(make_user(), misfire=misfire)

    frozen.forward(timedelta(hours=13).total_seconds())
    work()

    found = ScheduleService().status(identifier=response.notification_ids[0], caller=SYSTEM)
    assert found.scheduled_status == status


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"timezone": "Mars/Base"}, "unknown_timezone"),
        ({"local_time": "25:00"}, "invalid_time"),
        ({"local_time": "9am"}, "invalid_time"),
        ({"local_time": "09:00:30"}, "invalid_time"),
        ({"local_time": "09:00+02:00"}, "invalid_time"),
        ({"misfire": "whatever"}, "invalid"),
        ({"grace_minutes": 5}, "invalid"),
        ({"misfire": "send_within", "grace_minutes": 0}, "invalid"),
        ({"misfire": "send_within", "grace_minutes": "5"}, "wrong_type"),
        ({"recurrence": "FREQ=SECONDLY"}, "invalid_recurrence"),
        ({"recurrence": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "never_occurs"),
        ({"recurrence": "FREQ=DAILY;UNTIL=20300501"}, "never_occurs"),
    ],
)
def test_a_wrong_timing_is_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        schedule(make_user(), **change)
    assert caught.value.code == code
    assert not Notification.objects.exists()
