"""Times at every door: one range, one parser, a code that says what is wrong, nothing half made."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.forms import SplitDateTimeField
from django.forms.fields import BaseTemporalField
from rest_framework.test import APIClient

from directory.models import Segment, User
from directory.moments import LATEST
from notifications.domain.errors import InvalidRequest
from notifications.features.broadcasts import actions as broadcast_actions
from notifications.models import (
    Broadcast,
    DeliveryBatch,
    Notification,
    ScheduleSeries,
    UserNotificationPreference,
)
from notifications.scheduler import NotificationScheduler
from notifications.serializers import CreateBroadcastSerializer, ScheduleNotificationSerializer
from tests.integration.api.conftest import send_body
from tests.integration.broadcasts.factories import make_broadcast, make_people
from tests.integration.factories import make_user
from tests.integration.preferences.conftest import work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template")]
BROADCASTS = "/api/admin/broadcasts/"
TOO_FAR = [
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.9999999-05:00",
    "9999-12-31T23:59:59-14:00",
    "2200-01-01T00:00:00Z",
    "2199-12-31T23:59:59.9-00:01",
    "10000-01-01T00:00:00Z",
]
TOO_EARLY = ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+02:00", "1969-12-31T23:59:59.9Z"]
ALL = TOO_FAR + TOO_EARLY


def wrote(user: User, when: Any, **more: Any) -> dict[str, Any]:
    body = {"recipients": [user.pk], "title": "T", "message": "M", "scheduled_at": when}
    return {**body, **more}


def mute(when: Any) -> dict[str, Any]:
    return {"global": {"dnd_until": when, "quiet_hours_enabled": True}}


def criteria(when: Any) -> dict[str, Any]:
    return {"field": "date_joined", "op": "gt", "value": when}


def posts(client: APIClient, user: User, when: str) -> dict[str, Any]:
    """Every door that takes a time in its body, with this one."""
    draft = make_broadcast()
    planned = make_broadcast(status="scheduled", scheduled_at=datetime(2031, 1, 1, tzinfo=UTC))
    hook = client.post("/api/v1/webhooks", {"name": "n", "url": "https://example.com/x"})
    announced = {"target_group": "all_students", "message": "M", "channels": ["in_app"]}
    audience = {"rule": "segment", "criteria": criteria(when)}
    attribute = {"target_group": "composed", "target_filter": audience}
    bulk = {
        "template_path": "test.hello",
        "channel": "email",
        "context": {"amount": 1},
        "recipients": [{"user_id": user.pk}],
    }
    return {
        "send, scheduled": client.post(
            "/api/v1/notifications/send", send_body(user, scheduled_at=when)
        ),
        "send, expires": client.post(
            "/api/v1/notifications/send", send_body(user, expires_at=when)
        ),
        "simulate": client.post("/api/v1/notifications/simulate", send_body(user, expires_at=when)),
        "bulk, scheduled": client.post("/api/v1/notifications/bulk", bulk | {"scheduled_at": when}),
        "bulk, expires": client.post("/api/v1/notifications/bulk", bulk | {"expires_at": when}),
        "bulk, audience": client.post(
            "/api/v1/notifications/bulk",
            {name: value for name, value in bulk.items() if name != "recipients"}
            | {"audience": audience},
        ),
        "schedule": client.post("/api/notifications/schedule", wrote(user, when)),
        "schedule, zone": client.post(
            "/api/notifications/schedule", wrote(user, when, timezone="Asia/Tokyo")
        ),
        "schedule, recurring": client.post(
            "/api/notifications/schedule", wrote(user, when, recurrence="FREQ=DAILY")
        ),
        "schedule, local": client.post(
            "/api/notifications/schedule", wrote(user, when, local_time="09:00")
        ),
        "preferences": client.put(f"/api/v1/preferences?user_id={user.pk}", mute(when)),
        "replay": client.post(f"/api/v1/webhooks/{hook.data['id']}/replay", {"since": when}),
        "replay, until": client.post(
            f"/api/v1/webhooks/{hook.data['id']}/replay",
            {"since": "2030-01-01T00:00:00Z", "until": when},
        ),
        "letters": client.post("/api/v1/dead-letters/replay-matching", {"failed_before": when}),
        "letters, discard": client.post(
            "/api/v1/dead-letters/discard-matching", {"failed_before": when, "reason": "r"}
        ),
        "segment": client.post("/api/v1/segments", {"name": "s", "criteria": criteria(when)}),
        "audience": client.post("/api/v1/audiences/count", {"audience": audience}),
        "broadcast": client.post(BROADCASTS, announced | {"scheduled_at": when}),
        "broadcast, dry run": client.post(
            f"{BROADCASTS}dry-run/", announced | {"scheduled_at": when}
        ),
        "broadcast, audience": client.post(BROADCASTS, announced | attribute),
        "broadcast, changed": client.patch(f"{BROADCASTS}{draft.pk}/", {"scheduled_at": when}),
        "broadcast, planned": client.patch(f"{BROADCASTS}{planned.pk}/", {"scheduled_at": when}),
    }


def codes_of(answer: Any) -> set[str]:
    return {answer.data["code"], *(each["code"] for each in answer.data.get("errors", []))}


@pytest.fixture
def people(user: User) -> list[int]:
    return make_people(2)


@pytest.mark.parametrize("when", [TOO_FAR[1], TOO_FAR[2], TOO_EARLY[0]])
@pytest.mark.usefixtures("people")
def test_no_door_takes_a_time_outside_the_range(as_staff, user, when):
    for door, answer in posts(as_staff, user, when).items():
        assert answer.status_code == 400, (door, answer.data)
        assert "time_out_of_range" in codes_of(answer), (door, answer.data)
    nothing_is_left()


@pytest.mark.parametrize("when", ["20300131T090000Z"])
@pytest.mark.usefixtures("people")
def test_no_door_takes_what_is_no_time(as_staff, user, when):
    for door, answer in posts(as_staff, user, when).items():
        assert answer.status_code == 400, (door, answer.data)
        assert "invalid_time" in codes_of(answer), (door, answer.data)
    nothing_is_left()


def nothing_is_left():
    for model in (Notification, DeliveryBatch, ScheduleSeries, Segment):
        assert not model.objects.exists(), model.__name__
    assert not UserNotificationPreference.objects.filter(dnd_until__isnull=False).exists()
    assert Broadcast.objects.count() == 2


@pytest.mark.parametrize("when", ["2199-12-31t23:59:59.9999999z", "2200-01-01T13:59:59+14:00"])
def test_every_door_takes_the_end_of_the_range(as_staff, user, when, people):
    answers = posts(as_staff, user, when)
    past = {"replay", "letters", "letters, discard"}
    local = {"schedule, local"}  # it is another instant in each zone, beyond the range in some
    for door, answer in answers.items():
        if door not in past | local:
            assert answer.status_code < 500, (door, answer.data)
            assert "time_out_of_range" not in codes_of_any(answer), (door, answer.data)
    listed = [as_staff.get(f"{BROADCASTS}?page_size=50"), as_staff.get("/api/v1/schedules")]
    assert [answer.status_code for answer in listed] == [200, 200]


def codes_of_any(answer: Any) -> set[str]:
    return codes_of(answer) if answer.status_code >= 400 else set()


@pytest.mark.parametrize("name", ["date_from", "date_to"])
@pytest.mark.parametrize("day", ["9999-12-31", "2200-01-01", "0001-01-01", "1969-12-31"])
def test_lists_are_filtered_by_days_of_the_range(as_staff, name, day):
    answer = as_staff.get(BROADCASTS, {name: day})
    assert answer.status_code == 400
    assert answer.data["code"] == "time_out_of_range"
    assert as_staff.get(BROADCASTS, {name: "2199-12-31"}).status_code == 200
    assert as_staff.get(BROADCASTS, {name: "20300131"}).status_code == 400


@pytest.mark.parametrize("until", ["99991231T235959Z", "99991231", "00010101T000000", "22000103"])
def test_no_rule_lasts_beyond_the_range(as_staff, user, until):
    body = wrote(user, "2031-01-01T00:00:00Z", recurrence=f"FREQ=DAILY;UNTIL={until}")
    answer = as_staff.post("/api/notifications/schedule", body)
    assert (answer.status_code, answer.data["code"]) == (400, "time_out_of_range")


def test_a_local_time_must_lie_within_the_range_in_every_zone(as_staff, user):
    body = wrote(user, "2199-12-31", local_time="23:00")
    answer = as_staff.post("/api/notifications/schedule", body)
    assert (answer.status_code, answer.data["code"]) == (400, "time_out_of_range")
    west = wrote(user, "2199-12-31T23:00:00", timezone="America/New_York")
    answer = as_staff.post("/api/notifications/schedule", west)
    assert (answer.status_code, answer.data["code"]) == (400, "time_out_of_range")


def test_a_person_cannot_mute_themselves_beyond_the_range(as_user, user):
    answer = as_user.put("/api/v1/preferences", mute("9999-12-31T23:59:59Z"))
    assert (answer.status_code, answer.data["code"]) == (400, "time_out_of_range")
    assert as_user.put("/api/v1/preferences", mute("2199-12-31T23:59:59Z")).status_code == 200


@pytest.mark.parametrize("until", [datetime.max.replace(tzinfo=UTC), LATEST])
def test_a_user_muted_for_ever_delays_no_one_else(as_staff, user, until):
    UserNotificationPreference.objects.create(
        user=user, dnd_until=until, quiet_hours_enabled=True, timezone="Pacific/Kiritimati"
    )
    other = make_user()
    send = "/api/v1/notifications/send"
    muted = as_staff.post(send, send_body(user))
    heard = as_staff.post(send, send_body(other))
    assert (muted.status_code, heard.status_code) == (201, 201), muted.data
    assert as_staff.post("/api/v1/notifications/simulate", send_body(user)).status_code == 200
    work()
    found = dict(Notification.objects.values_list("user_id", "messages__status"))
    assert found == {user.pk: "pending", other.pk: "delivered"}


class TestInPython:
    """The documented Python names say ValueError."""

    @pytest.mark.parametrize(
        "when",
        [
            *ALL,
            datetime.max,
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
            datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        ],
    )
    def test_a_time_outside_the_range_is_a_value_error(self, user, when):
        with pytest.raises(ValueError, match="1970-01-01 to 2199-12-31"):
            NotificationScheduler().schedule_notification([user], "T", "M", when)

    @pytest.mark.parametrize("minutes", [1e300, float("inf"), float("nan"), -1e9, 1e9])
    def test_a_delay_that_leads_outside_the_range_is_a_value_error(self, user, minutes):
        at = datetime(2031, 1, 1, tzinfo=UTC)
        (key,) = NotificationScheduler().schedule_notification([user], "T", "M", at)
        with pytest.raises(ValueError, match=r"range|lie within|NaN"):
            NotificationScheduler().retry_failed(key, delay_minutes=minutes)

    def test_a_broadcast_is_planned_within_the_range(self):
        draft = make_broadcast()
        for at in (datetime.max, datetime(9999, 12, 31, tzinfo=UTC), datetime(1, 1, 1)):
            with pytest.raises(InvalidRequest) as caught:
                broadcast_actions.schedule(draft.pk, at=at)
            assert caught.value.code == "time_out_of_range"

    def test_serializers_refuse_it_as_the_doors_do(self, user):
        body = {"target_group": "all_students", "message": "M", "scheduled_at": TOO_FAR[0]}
        made = CreateBroadcastSerializer(data=body)
        planned = ScheduleNotificationSerializer(data=wrote(user, TOO_FAR[1]))
        assert not made.is_valid()
        assert not planned.is_valid()
        assert "1970-01-01 to 2199-12-31" in str(made.errors | planned.errors)


def test_the_admin_form_takes_no_times(admin_client, user):
    form = admin_client.get(f"/admin/directory/user/{user.pk}/change/").context["adminform"].form
    assert {"email", "locale"} <= form.fields.keys()
    of_times = (BaseTemporalField, SplitDateTimeField)
    assert [name for name, each in form.fields.items() if isinstance(each, of_times)] == []


def test_imports_name_no_times():
    """People come without times: there is no door for them in files of CSV and NDJSON."""
    from directory.imports.import_rows import COLUMNS

    text = ",".join(sorted(COLUMNS))
    assert next(csv.reader(io.StringIO(text)))
    assert not {name for name in COLUMNS if name.endswith(("_at", "_until", "joined", "login"))}
