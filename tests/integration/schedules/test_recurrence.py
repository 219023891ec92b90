"""Series: each occurrence is created once, in each person's zone, across clock changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.domain.callers import SYSTEM
from notifications.features.scheduling import recurring
from notifications.features.scheduling.recurring import create_due_occurrences
from notifications.features.scheduling.service import ScheduleService
from notifications.infra import clock
from notifications.models import (
    Notification,
    NotificationMessage,
    ScheduleClock,
    ScheduleOccurrence,
    ScheduleSeries,
)
from tests.integration.factories import make_user
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db
SAMPLED = {(1, True), (13, False)}
"""Hours at which a person moves, and whether others of the series stay, tried on each run."""


def schedule(*people: User, **more: Any) -> Any:
    body = {
        "recipients": [person.pk for person in people],
        "title": "Lesson",
        "message": "Soon",
        "scheduled_at": "2030-05-02T09:00:00",
        "timezone": "Europe/Berlin",
        "recurrence": "FREQ=DAILY",
        **more,
    }
    return ScheduleService().schedule(body=body, caller=SYSTEM)


@pytest.mark.parametrize("seconds", [1, 8, 59])
@pytest.mark.parametrize("rule", ["FREQ=DAILY;COUNT=1", "FREQ=MINUTELY;COUNT=1", "FREQ=WEEKLY"])
def test_the_first_occurrence_is_the_requested_time(frozen: Any, seconds: int, rule: str) -> None:
    due = frozen.now + timedelta(seconds=seconds)
    person = make_user()
    scheduled = schedule(person, recurrence=rule, timezone="UTC", scheduled_at=due.isoformat())

    assert scheduled.scheduled_at == due
    frozen.forward(seconds - 0.5)
    work()
    assert received_at(person, "UTC") == []
    frozen.forward(0.5)
    work()
    assert received_at(person, "UTC") == [f"{due:%m-%dT%H:%M}"]


def own_zones(*people: User, **more: Any) -> Any:
    return schedule(*people, **{"timezone": None, "local_time": "09:00", **more})


def live(frozen: Any, until: datetime, step: timedelta = timedelta(minutes=30)) -> None:
    """Lets time pass; at every step the rounds and a worker run."""
    while frozen.now < until:
        frozen.forward(step.total_seconds())
        create_due_occurrences(now=clock.now())
        work()


def received_at(person: User, zone: str) -> list[str]:
    """Returns when a person received notifications, in the time of a zone."""
    rows = NotificationMessage.objects.filter(user=person, status="delivered").order_by("sent_at")
    moments = rows.values_list("sent_at", flat=True)
    return [f"{at.astimezone(ZoneInfo(zone)):%m-%dT%H:%M}" for at in moments if at]


def days(first: int, last: int, month: int = 5, hour: str = "09:00") -> list[str]:
    return [f"{month:02}-{day:02}T{hour}" for day in range(first, last + 1)]


def test_the_first_occurrence_is_created_at_once(frozen: Any) -> None:
    people = [make_user(), make_user()]

    scheduled = schedule(*people)

    assert scheduled.count == 2
    assert scheduled.scheduled_at == datetime(2030, 5, 2, 7, tzinfo=UTC)
    assert scheduled.schedule_id == ScheduleSeries.objects.get().uuid
    assert [Notification.objects.get(pk=key).user for key in scheduled.notification_ids] == people
    assert create_due_occurrences(now=clock.now()) == 0


def test_a_daily_series_reaches_each_member_once_a_day(frozen: Any) -> None:
    person = make_user()
    schedule(person)

    live(frozen, datetime(2030, 5, 6, tzinfo=UTC))

    assert received_at(person, "Europe/Berlin") == days(2, 5)
    assert ScheduleOccurrence.objects.count() == 5  # the next one is created already
    assert Notification.objects.filter(scheduled_status="pending").count() == 1


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2031-03-28", "2031-04-02"),  # Berlin's clock goes forward on 30 March
        ("2030-10-25", "2030-10-30"),  # and back on 27 October
    ],
)
def test_once_a_date_across_a_change_of_the_clock(frozen: Any, start: str, end: str) -> None:
    frozen.now = datetime.fromisoformat(f"{start}T00:00:00+00:00") - timedelta(days=1)
    zones = ("Europe/Berlin", "America/New_York", "Asia/Tokyo")
    people = {zone: make_user(timezone=zone) for zone in zones}
    own_zones(*people.values(), scheduled_at=f"{start}T00:00:00", local_time="02:30")

    live(frozen, datetime.fromisoformat(f"{end}T12:00:00+00:00"))

    first, last = (datetime.fromisoformat(day).date() for day in (start, end))
    dates = [f"{first + timedelta(days=n):%m-%d}" for n in range((last - first).days + 1)]
    for zone, person in people.items():
        received = received_at(person, zone)
        assert [moment[:5] for moment in received] == dates, zone
        odd = ["03-30T03:00"] if zone == "Europe/Berlin" and start < "2031-03-30" < end else []
        assert [moment for moment in received if not moment.endswith("T02:30")] == odd


def test_without_a_zone_each_person_has_their_own_clock(frozen: Any) -> None:
    """The first time is one instant for all; the clock change moves only Berlin's instant."""
    frozen.now = datetime(2031, 3, 28, tzinfo=UTC)
    berlin, tokyo = make_user(timezone="Europe/Berlin"), make_user(timezone="Asia/Tokyo")
    schedule(berlin, tokyo, timezone=None, scheduled_at="2031-03-29T08:00:00Z")

    live(frozen, datetime(2031, 4, 1, tzinfo=UTC))

    assert received_at(berlin, "UTC") == ["03-29T08:00", "03-30T07:00", "03-31T07:00"]
    assert received_at(tokyo, "UTC") == ["03-29T08:00", "03-30T08:00", "03-31T08:00"]


def test_a_series_ends_with_its_rule(frozen: Any) -> None:
    person = make_user()
    schedule(person, recurrence="FREQ=WEEKLY;BYDAY=TH;COUNT=2")

    live(frozen, datetime(2030, 5, 20, tzinfo=UTC), timedelta(hours=1))

    assert received_at(person, "Europe/Berlin") == ["05-02T09:00", "05-09T09:00"]
    series = ScheduleSeries.objects.get()
    assert series.status == "ended"
    assert series.ended_at is not None


def test_a_minutely_rule_is_never_late(frozen: Any) -> None:
    person = make_user()
    schedule(person, recurrence="FREQ=MINUTELY;COUNT=10", scheduled_at="2030-05-02T09:00:00")

    frozen.now = datetime(2030, 5, 2, 6, 58, tzinfo=UTC)
    while frozen.now < datetime(2030, 5, 2, 7, 12, tzinfo=UTC):
        create_due_occurrences(now=clock.now())  # once a minute, as beat does
        for _ in range(60):
            frozen.forward(1)
            work()

    assert received_at(person, "UTC") == [f"05-02T07:{minute:02}" for minute in range(10)]


def missed(frozen: Any, **more: Any) -> tuple[User, list[tuple[int, int]]]:
    """One day runs normally, then nothing runs for three and a half days."""
    person = make_user()
    schedule(person, **more)
    live(frozen, datetime(2030, 5, 2, 8, tzinfo=UTC))
    frozen.now = datetime(2030, 5, 5, 19, tzinfo=UTC)
    live(frozen, datetime(2030, 5, 6, 8, tzinfo=UTC))
    rows = ScheduleOccurrence.objects.order_by("due_at")
    return person, list(rows.values_list("count", "missed"))


def test_the_last_missed_occurrence_is_sent(frozen: Any) -> None:
    person, made = missed(frozen)

    # The third was created before the outage.
    assert received_at(person, "Europe/Berlin") == [
        "05-02T09:00",
        "05-05T21:30",
        "05-05T21:30",
        "05-06T09:00",
    ]
    assert made == [(1, 0), (1, 0), (1, 1), (1, 0), (1, 0)]


def test_missed_occurrences_are_skipped(frozen: Any) -> None:
    person, made = missed(frozen, misfire="skip")

    assert received_at(person, "Europe/Berlin") == ["05-02T09:00", "05-06T09:00"]
    assert made == [(1, 0), (1, 0), (0, 1), (1, 0), (1, 0)]


@pytest.mark.parametrize(("hours", "sent"), [(12, False), (13, True)])
def test_a_missed_occurrence_is_sent_within_the_grace(frozen: Any, hours: int, sent: bool) -> None:
    person, _ = missed(frozen, misfire="send_within", grace_minutes=hours * 60)

    late = ["05-05T21:30"] if sent else []
    assert received_at(person, "Europe/Berlin") == ["05-02T09:00", *late, "05-06T09:00"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Europe/Berlin", "America/New_York"),
        ("Europe/Berlin", "Asia/Tokyo"),
        ("Pacific/Auckland", "Pacific/Honolulu"),
        ("Pacific/Honolulu", "Pacific/Auckland"),
    ],
)
@pytest.mark.parametrize(
    ("hour", "others"),
    [
        pytest.param(n, others, marks=() if (n, others) in SAMPLED else pytest.mark.proof)
        for n in range(24)
        for others in (False, True)
    ],
)
def test_a_member_who_changes_zones_gets_one_occurrence_a_date(
    frozen: Any, before: str, after: str, others: bool, hour: int
) -> None:
    person = make_user(timezone=before)
    own_zones(person, *([make_user(timezone=after)] if others else []))

    live(frozen, datetime(2030, 5, 4, hour, tzinfo=UTC))
    User.objects.filter(pk=person.pk).update(timezone=after)
    live(frozen, datetime(2030, 5, 9, 23, tzinfo=UTC))

    walls: Counter[str] = Counter()
    mine = Notification.objects.filter(user=person).values_list("job_id", flat=True)
    for wall in ScheduleOccurrence.objects.filter(job_id__in=mine).values_list("wall", flat=True):
        walls[wall[:10]] += 1
    assert set(walls.values()) == {1}
    expected = {f"2030-05-{day:02}" for day in range(2, 9)}
    assert expected <= set(walls)
    assert {moment[6:] for moment in received_at(person, after)[-3:]} == {"09:00"}


def cancel(client: APIClient, scheduled: Any) -> Any:
    return client.delete(f"/api/v1/schedules/{scheduled.schedule_id}/")


def test_a_cancelled_series_sends_nothing_more(frozen: Any, as_staff: APIClient) -> None:
    people = [make_user(timezone=zone) for zone in ("Europe/Berlin", "Asia/Tokyo")]
    scheduled = own_zones(*people)
    live(frozen, datetime(2030, 5, 2, 3, tzinfo=UTC))  # Tokyo has received it

    response = cancel(as_staff, scheduled)

    assert response.status_code == 200
    assert response.json() == {
        "id": str(scheduled.schedule_id),
        "status": "cancelled",
        "cancelled": 2,  # Berlin's first, and Tokyo's second
    }
    live(frozen, datetime(2030, 5, 6, tzinfo=UTC))
    assert len(received_at(people[1], "UTC")) == 1
    assert not received_at(people[0], "UTC")
    assert (cancel(as_staff, scheduled).status_code, cancel(as_staff, scheduled).data["code"]) == (
        409,
        "not_active",
    )


def test_one_cancelled_occurrence_does_not_stop_the_next(frozen: Any, as_staff: APIClient) -> None:
    person = make_user()
    (key,) = schedule(person).notification_ids

    assert as_staff.delete(f"/api/notifications/{key}/cancel_scheduled/").status_code == 200

    live(frozen, datetime(2030, 5, 4, tzinfo=UTC))
    assert received_at(person, "Europe/Berlin") == ["05-03T09:00"]


def test_series_are_visible_to_their_creators(
    frozen: Any, as_user: APIClient, user: User, as_staff: APIClient, with_key: Any
) -> None:
    body = {
        "recipients": [user.pk],
        "title": "Lesson",
        "message": "Soon",
        "scheduled_at": "2030-05-02T00:00:00",
        "recurrence": "FREQ=DAILY",
        "local_time": "09:00",
    }
    mine = as_user.post("/api/notifications/schedule/", body).json()["schedule_id"]
    others = as_staff.post("/api/notifications/schedule/", body).json()["schedule_id"]

    (seen,) = as_user.get("/api/v1/schedules/").json()["results"]
    assert seen["id"] == mine
    assert seen["title"] == "Lesson"
    assert (seen["recurrence"], seen["local_time"], seen["timezone"]) == ("FREQ=DAILY", "09:00", "")
    assert (seen["recipients"], seen["status"], seen["misfire"]) == (1, "active", "send_late")
    assert seen["next_at"] == "2030-05-03T09:00:00Z"
    assert as_user.get(f"/api/v1/schedules/{mine}").json() == seen
    assert as_user.get(f"/api/v1/schedules/{others}").data["code"] == "unknown_schedule"
    assert as_user.delete(f"/api/v1/schedules/{others}").status_code == 404
    assert len(as_staff.get("/api/v1/schedules/").json()["results"]) == 2
    assert with_key("notifications:send").get("/api/v1/schedules/").json()["results"] == []


def test_a_series_that_fails_delays_no_other(frozen: Any, monkeypatch: Any) -> None:
    first, second = make_user(), make_user()
    broken = schedule(first).schedule_id
    schedule(second)
    make = recurring.accept_groups

    def fail(intent: Any, text: Any, dues: Iterable[Any], **more: Any) -> Any:
        if any(first.pk in due.people for due in dues):
            raise KeyError("category")
        return make(intent, text, list(dues), **more)

    monkeypatch.setattr(recurring, "accept_groups", fail)
    live(frozen, datetime(2030, 5, 4, tzinfo=UTC))
    assert received_at(second, "Europe/Berlin") == days(2, 3)
    assert ScheduleClock.objects.get(series__uuid=broken).make_at is not None

    monkeypatch.setattr(recurring, "accept_groups", make)
    live(frozen, datetime(2030, 5, 5, 23, tzinfo=UTC))
    assert received_at(first, "Europe/Berlin")[-1] == "05-05T09:00"
