"""What was asked for in a way that would have done something else, or nothing, is reported."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import User
from notifications.features.broadcasts.schemas import BroadcastChangeBody
from notifications.infra import clock
from notifications.models import KillSwitch, Notification
from tests.integration.api.conftest import send_body
from tests.integration.broadcasts.factories import make_broadcast

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("template")]
_TRACKED = ("track_opens", "track_clicks")
SEND = "/api/v1/notifications/send"
BULK = "/api/v1/notifications/bulk"
STOP = "/api/v1/kill-switch"


def reported(answer: Any) -> tuple[int, set[tuple[str, str]]]:
    return answer.status_code, {(each["path"], each["code"]) for each in answer.data["errors"]}


def bulk_body(user: User, **changes: Any) -> dict[str, Any]:
    body = send_body(user, **changes)
    del body["user_id"]
    return {**body, "recipients": [{"user_id": user.pk}]}


@pytest.mark.parametrize("seconds", [0, 1, 3_600, 86_400 * 365])
def test_a_time_that_is_past_is_reported(as_staff: APIClient, user: User, seconds: int) -> None:
    past = (clock.now() - timedelta(seconds=seconds)).isoformat()
    for path, body in (
        (SEND, send_body(user, scheduled_at=past)),
        (BULK, bulk_body(user, scheduled_at=past)),
    ):
        assert reported(as_staff.post(path, body)) == (400, {("scheduled_at", "in_the_past")})
    assert not Notification.objects.exists()


@pytest.mark.parametrize(
    ("channel", "provider"),
    [("email", "fcm"), ("email", "in_app"), ("in_app", "smtp"), ("sms", "smtp")],
)
def test_a_provider_that_carries_none_of_the_channels_is_reported(
    as_staff: APIClient, user: User, channel: str, provider: str, override_environment: Any
) -> None:
    override_environment(email_provider="smtp=3,ses=1")
    wanted = (400, {("options.provider", "provider_not_of_channel")})
    options = {"options": {"provider": provider}}
    single = as_staff.post(SEND, send_body(user, channel=channel, **options))
    if channel != "sms":  # for which the template has no text
        assert reported(single) == wanted
        body = bulk_body(user, channel=channel, **options)
        assert reported(as_staff.post(BULK, body)) == wanted
        body["recipients"][0]["channel"] = body.pop("channel")
        assert reported(as_staff.post(BULK, body)) == wanted
    assert single.status_code == 400
    assert not Notification.objects.exists()


@pytest.mark.parametrize("provider", ["smtp", "ses"])
def test_a_provider_of_one_of_the_channels_is_taken(
    as_staff: APIClient, user: User, provider: str, override_environment: Any
) -> None:
    override_environment(email_provider="smtp=3,ses=1")
    body = send_body(user, channels=["in_app", "email"], options={"provider": provider})
    del body["channel"]

    assert as_staff.post(SEND, body).status_code == 201


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"scope": "template", "value": "test.helo"}, "unknown_template"),
        ({"scope": "all", "value": "email"}, "invalid"),
        ({"scope": "channel", "value": "emial"}, "unknown_channel"),
        ({"scope": "provider", "value": "smpt"}, "unknown_provider"),
        ({"scope": "category", "value": "paiment"}, "unknown_category"),
        ({"scope": "source", "value": "brodcast:1"}, "unknown_source"),
        ({"scope": "source", "value": "broadcast:987654"}, "unknown_source"),
        ({"scope": "source", "value": "key:0"}, "unknown_source"),
        ({"scope": "source", "value": "series:987654"}, "unknown_source"),
        ({"scope": "version", "value": "987654"}, "unknown_version"),
        ({"scope": "channel"}, "required"),
    ],
)
def test_a_stop_that_would_stop_nothing_or_everything_is_reported(
    as_staff: APIClient, body: dict[str, str], code: str
) -> None:
    answer = as_staff.post(STOP, {**body, "reason": "a test"})

    assert reported(answer) == (400, {("value", code)})
    assert not KillSwitch.objects.exists()


def test_a_template_of_nearly_that_name_is_named(as_staff: APIClient) -> None:
    answer = as_staff.post(STOP, {"scope": "template", "value": "test.helo", "reason": "a test"})

    assert "did you mean test.hello?" in answer.data["detail"]


def test_a_null_in_a_change_is_no_silence(as_staff: APIClient) -> None:
    made = make_broadcast(status="draft")
    for name in BroadcastChangeBody.__struct_fields__:
        answer = as_staff.patch(f"/api/admin/broadcasts/{made.pk}/", {name: None})
        nullable = name in ("scheduled_at", "target_filter", "per_minute", *_TRACKED)
        assert answer.status_code == (200 if nullable else 400), (name, answer.data)
        assert nullable or (answer.data["code"], name in answer.data["error"]) == (
            "wrong_type",
            True,
        )


def test_what_is_not_there_is_reported_with_what_to_do(as_staff: APIClient, user: User) -> None:
    stranger = as_staff.post(SEND, {**send_body(user), "user_id": "ext:p-99"})
    assert (stranger.status_code, stranger.data["code"]) == (404, "unknown_user")
    assert "create it with PUT /api/v1/users/" in stranger.data["detail"]
    unknown = as_staff.post(SEND, {**send_body(user), "template_path": "no.such"})
    assert "GET /api/v1/templates lists" in unknown.data["detail"]
    empty = as_staff.post("/api/v1/templates/1/publish")
    assert (empty.status_code, empty.data["code"]) == (400, "invalid_json")
    assert "`{}` to leave everything out" in empty.data["detail"]


def test_moving_what_was_not_scheduled_says_to_send_a_new_one(
    as_staff: APIClient, user: User
) -> None:
    sent = as_staff.post(SEND, send_body(user)).data["id"]
    later = (clock.now() + timedelta(days=1)).isoformat()
    answer = as_staff.patch(f"/api/v1/notifications/{sent}", {"scheduled_at": later})
    assert (answer.status_code, answer.data["code"]) == (409, "not_pending")
    assert "send a new one" in answer.data["detail"]
