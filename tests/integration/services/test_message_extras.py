"""Extras of a message (data, link, image, sound): every route checks them, channels carry them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from directory.models import Device
from notifications.delivery.vendors.fcm.send import request_of
from notifications.delivery.vendors.telegram.send import text_of
from notifications.delivery.vendors.webpush.send import payload_for
from notifications.domain.messages import EXTRAS_KEY, MAX_PUSH_EXTRAS_BYTES, push_weight
from notifications.models import Job, Notification, SandboxMessage
from notifications.rendering.lengths.push import MAX_PUSH_BYTES, push_bytes
from tests.integration.factories import make_template, make_willing_user
from tests.integration.preferences.conftest import work

pytestmark = pytest.mark.django_db
V1 = "/api/v1/notifications"
GIVEN: dict[str, Any] = {
    "data": {"order": {"id": 5}, "kind": "receipt"},
    "link": "https://shop.example/orders/5",
    "image": "https://cdn.example/5.png",
    "icon": "https://cdn.example/i.png",
    "sound": "chime.caf",
    "badge": 3,
}
CARRIED = {**GIVEN["data"], "url": GIVEN["link"]} | {
    name: GIVEN[name] for name in ("image", "icon", "sound", "badge")
}


def body_of(user: Any, **more: Any) -> dict[str, Any]:
    base = {"template_path": "test.hello", "context": {"amount": 1}}
    return {**base, "user_id": user.pk, **more}


def test_every_channel_receives_the_extras(as_staff: APIClient) -> None:
    make_template(telegram_template="{{ amount }}", supported_channels=[])
    user = make_willing_user(telegram_id="77")
    Device.objects.create(user=user, token="t" * 100)
    body = body_of(user, channels=["push", "telegram", "email", "in_app"], **GIVEN)
    sent = as_staff.post(f"{V1}/send", body, format="json")
    assert sent.status_code == 201, sent.content
    work()

    found = {row.channel: row.content["data"] for row in SandboxMessage.objects.all()}
    assert found == dict.fromkeys(("push", "telegram", "email"), CARRIED)
    assert Notification.objects.get().data == CARRIED


def test_a_bulk_send_stores_the_extras_once(as_staff: APIClient) -> None:
    make_template()
    people = [make_willing_user(), make_willing_user()]
    body = body_of(people[0], channel="email", **GIVEN)
    del body["user_id"]
    own = {"user_id": people[1].pk, "context": {"amount": 2, EXTRAS_KEY: {"url": "x"}, "user": {}}}
    body["recipients"] = [{"user_id": people[0].pk}, own]
    assert as_staff.post(f"{V1}/bulk", body, format="json").data["accepted"] == 2
    work()

    assert [row.content["data"] for row in SandboxMessage.objects.all()] == [CARRIED] * 2
    assert Job.objects.get().context[EXTRAS_KEY] == CARRIED
    assert all(EXTRAS_KEY not in (row.context or {}) for row in Notification.objects.all())


def test_a_schedule_and_a_simulation_have_the_extras(as_staff: APIClient) -> None:
    make_template()
    user = make_willing_user()
    body = {"recipients": [user.pk], "title": "T", "message": "M", **GIVEN}
    body["scheduled_at"] = "2150-01-01T00:00:00Z"
    assert as_staff.post("/api/notifications/schedule", body, format="json").status_code == 201
    shown = as_staff.post(f"{V1}/simulate", body_of(user, channel="email", **GIVEN), format="json")

    assert Notification.objects.get().data == CARRIED
    assert shown.json()["messages"][0]["content"]["data"] == CARRIED


def test_a_send_without_extras_stores_none(as_staff: APIClient) -> None:
    make_template()
    body = body_of(make_willing_user(), channel="in_app")
    as_staff.post(f"{V1}/send", body, format="json")
    row = Notification.objects.get()
    assert (row.context, row.data) == ({"amount": 1}, {})


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"data": []}, "wrong_type"),
        ({"data": {"x": "y" * 5_000}}, "too_large"),
        ({"data": {"google.x": 1}}, "reserved_data_key"),
        ({"data": {"from": 1}}, "reserved_data_key"),
        ({"data": {"x": "y" * 3_200}}, "too_large"),
        ({"link": "javascript:alert(1)"}, "invalid_url"),
        ({"link": "https://"}, "invalid_url"),
        ({"link": "https://a.example/ b"}, "invalid_url"),
        ({"link": "https://a.example:x/"}, "invalid_url"),
        ({"image": "http://a.example/i.png"}, "invalid_url"),
        ({"icon": "data:image/png;base64,AA"}, "invalid_url"),
        ({"icon": 5}, "wrong_type"),
        ({"sound": "../x/y"}, "invalid"),
        ({"badge": -1}, "invalid"),
        ({"badge": True}, "invalid"),
        ({"badge": 1.5}, "invalid"),
        ({"badge": 100_000}, "invalid"),
    ],
)
def test_extras_have_limits(given: dict[str, Any], code: str, as_staff: APIClient) -> None:
    make_template()
    user = make_willing_user()
    bulk = {**body_of(user, channel="push", **given), "recipients": [{"user_id": user.pk}]}
    del bulk["user_id"]
    times = {"title": "T", "message": "M", "scheduled_at": "2150-01-01T00:00:00Z"}
    schedule = {"recipients": [user.pk], "channels": ["push"], **times, **given}
    for path, body in (
        (f"{V1}/send", body_of(user, channel="push", **given)),
        (f"{V1}/bulk", bulk),
        ("/api/notifications/schedule", schedule),
    ):
        response = as_staff.post(path, body, format="json")
        problem = response.json()
        assert (response.status_code, problem["code"].lower()) == (400, code), (path, problem)
    assert not Notification.objects.exists()


def test_the_text_of_a_push_is_cut_to_the_space_that_extras_leave(as_staff: APIClient) -> None:
    make_template(push_template="{{ words }}", required_variables=["words"])
    user = make_willing_user()
    Device.objects.create(user=user, token="t" * 100)
    data = {"x": "y" * 2_900}
    body = body_of(user, channel="push", data=data, context={"words": "word " * 2_000, "amount": 1})
    sent = as_staff.post(f"{V1}/send", body, format="json")
    assert sent.status_code == 201, sent.content
    work()

    content = SandboxMessage.objects.get().content
    assert push_weight(content["data"]) <= MAX_PUSH_EXTRAS_BYTES
    size = push_bytes(content["title"], content["body"]) + push_weight(content["data"])
    assert MAX_PUSH_BYTES - 100 < size <= MAX_PUSH_BYTES


def test_each_push_service_receives_the_extras_in_its_own_fields() -> None:
    message = {"title": "T", "body": "B", "data": CARRIED, "reference": "r"}
    fcm = request_of("token", message, 1000.0)

    assert fcm["notification"]["image"] == GIVEN["image"]
    assert fcm["webpush"]["notification"] == {"icon": GIVEN["icon"], "image": GIVEN["image"]}
    assert fcm["webpush"]["fcm_options"] == {"link": GIVEN["link"]}
    assert fcm["android"]["notification"] == {"sound": "chime.caf"}
    assert fcm["apns"]["payload"] == {"aps": {"sound": "chime.caf", "badge": 3}}
    assert fcm["data"]["order"] == '{"id": 5}'
    card = json.loads(payload_for(message))
    assert (card["url"], card["image"]) == (GIVEN["link"], GIVEN["image"])
    assert text_of(message).endswith(GIVEN["link"])
    assert "apns" not in str(request_of("t", {**message, "data": {}}, 1.0)["apns"].get("payload"))
