"""From the route to the providers' servers: one broadcast on every channel, and in order."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from rest_framework.test import APIClient

from directory.models import ContactPoint, Device
from notifications.features.broadcasts.delivery.batches import count_and_finish, deliver_and_wait
from notifications.features.broadcasts.delivery.launch import continue_launch
from notifications.infra import clock
from notifications.models import (
    Broadcast,
    BroadcastRecipient,
    Notification,
    UserNotificationPreference,
)
from notifications.testing.servers import HTTPSink, Reply, SMTPSink
from tests.integration.broadcasts.factories import make_people
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db
URL = "/api/admin/broadcasts/"
EVERY = ["telegram", "email", "push", "sms", "in_app", "websocket"]
ANSWERS = {
    "/token": {"access_token": "t", "expires_in": 3600},
    "/v1/": {"name": "projects/demo/messages/1"},
    "/bot": {"ok": True, "result": {"message_id": 77}},
    "/2010": {"sid": "SM1", "status": "queued"},
}


def respond(request: Any) -> Reply:
    """Returns the response of FCM, Telegram or Twilio, by the path."""
    found = next(value for path, value in ANSWERS.items() if request.path.startswith(path))
    return Reply(status=201 if "sid" in found else 200, body=json.dumps(found).encode())


def phone_of(person: int) -> str:
    """Returns a number of eleven digits for any number of users."""
    return f"+1500555{person % 10_000:04}"


@pytest.fixture
def vendors():
    with HTTPSink(script=respond).run_in_thread() as sink:
        yield sink


@pytest.fixture
def mail_server():
    with SMTPSink().run_in_thread() as sink:
        yield sink


@pytest.fixture
def people(vendors, mail_server, tmp_path, override_environment) -> list[int]:
    """Creates three people who can be reached on every channel."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = tmp_path / "service-account.json"
    account.write_text(
        json.dumps(
            {
                "project_id": "demo",
                "client_email": "fcm@demo.example",
                "private_key": key.decode(),
                "token_uri": f"{vendors.url}/token",
            }
        )
    )
    override_environment(
        telegram_provider="telegram",
        telegram_base_url=vendors.url,
        telegram_bot_token="123:secret",
        email_provider="smtp",
        smtp_host=mail_server.host,
        smtp_port=mail_server.port,
        push_provider="fcm",
        fcm_base_url=vendors.url,
        fcm_credentials=str(account),
        sms_provider="twilio",
        twilio_base_url=vendors.url,
        twilio_account_sid="AC" + "0" * 32,
        twilio_auth_token="secret",
        twilio_from="+15005550006",
        rate_limits=("telegram=off", "smtp=off", "fcm=off", "twilio=off"),
    )
    found = make_people(3)
    for person in found:
        UserNotificationPreference.objects.create(user_id=person, sms_enabled=True)
        for kind, address in (
            ("telegram", f"55{person}"),
            ("email", f"someone{person}@example.com"),
            ("phone", phone_of(person)),
        ):
            ContactPoint.objects.update_or_create(
                user_id=person, kind=kind, defaults={"address": address}
            )
        Device.objects.create(
            user_id=person, token=f"token-of-{person}", kind="fcm", platform="android"
        )
    return found


@pytest.fixture
def admin(db: None) -> APIClient:
    client = APIClient()
    client.force_authenticate(make_user(is_staff=True, role="admin"))
    return client


def send(client: APIClient, **more: Any) -> Broadcast:
    """Sends through the route, and delivers until everything is dispatched and counted."""
    body = {"target_group": "all_students", "title": "Notice", "message": "Snow everywhere", **more}
    made = client.post(URL, {**body, "send_immediately": True})
    assert made.status_code == 201, made.data
    key = made.data["data"]["id"]
    continue_launch(key)  # a slow machine may not have finished before the response
    deliver_and_wait(key)
    count_and_finish(key, now=clock.now())
    return Broadcast.objects.get(pk=key)


def called(vendors: HTTPSink, path: str) -> list[Any]:
    return [request for request in vendors.requests if request.path.startswith(path)]


def test_a_broadcast_reaches_every_channel(admin, people, vendors, mail_server):
    made = send(admin, channels=EVERY)

    assert (made.recipient_count, made.sent_count, made.failed_count) == (3, 3, 0)
    chats = [json.loads(request.body) for request in called(vendors, "/bot123:secret/sendMessage")]
    assert {str(chat["chat_id"]) for chat in chats} == {f"55{person}" for person in people}
    assert all("Snow everywhere" in chat["text"] for chat in chats)
    assert {mail.recipients[0] for mail in mail_server.messages} == {
        f"someone{person}@example.com" for person in people
    }
    pushes = [json.loads(r.body)["message"] for r in called(vendors, "/v1/projects/demo")]
    assert {push["token"] for push in pushes} == {f"token-of-{person}" for person in people}
    texts = [parse_qs(request.body.decode()) for request in called(vendors, "/2010")]
    assert {text["To"][0] for text in texts} == {phone_of(person) for person in people}
    assert all("Snow everywhere" in text["Body"][0] for text in texts)
    rows = Notification.objects.filter(source=made.source)
    assert {row.user_id for row in rows} == set(people), "one row of the inbox each"
    for row in BroadcastRecipient.objects.filter(broadcast=made):
        assert set(row.channel_states) == set(EVERY)
        assert set(row.channel_states.values()) <= {"sent", "delivered"}
        assert (row.telegram_sent, row.telegram_message_id) == (True, "77")


def test_in_order_the_first_channel_that_accepts_is_enough(admin, people, vendors, mail_server):
    ContactPoint.objects.filter(user_id=people[0], kind="telegram").delete()

    made = send(admin, channels=["telegram", "email"], delivery="first")

    assert made.sent_count == 3
    assert len(called(vendors, "/bot123:secret/sendMessage")) == 2
    assert [mail.recipients for mail in mail_server.messages] == [
        (f"someone{people[0]}@example.com",)
    ]
    assert made.status in ("sent", "completed")


def test_recipients_that_are_not_reached_are_listed_with_the_reason(admin, people, vendors):
    def refuse(request: Any) -> Reply:
        if b"55%d" % people[0] in request.body:
            body = {"ok": False, "error_code": 403, "description": "bot was blocked by the user"}
            return Reply(status=403, body=json.dumps(body).encode())
        return respond(request)

    vendors.script = refuse
    made = send(admin, channels=["telegram"])

    assert (made.sent_count, made.failed_count) == (2, 1)
    page = admin.get(f"{URL}{made.pk}/recipients/?status=failed").data
    assert page["count"] == 1
    (row,) = page["results"]
    assert (row["user_id"], row["telegram_sent"]) == (people[0], False)
    assert row["error_message"]
    progress = admin.get(f"{URL}{made.pk}/progress/").data["data"]
    assert progress["error_summary"].startswith("1 failed: ")
