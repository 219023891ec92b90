"""Vonage's status callbacks, from the route to the message and the address."""

from __future__ import annotations

import hashlib
import json

import jwt
import pytest

from directory.models import ContactPoint
from notifications.delivery.callback_urls import callback_url
from notifications.domain.lifecycle import MessageStatus
from notifications.features.receipts.apply import apply_due
from notifications.models import NotificationMessage, ProviderCallback, change_status
from tests.integration.factories import make_messages, make_user

pytestmark = pytest.mark.django_db
NUMBER = "+14155552671"
SECRET = "a-signature-secret-of-forty-characters-x"
OPTED_OUT = {"type": "https://developer.vonage.com/api-errors/messages#1240", "title": 1240}


@pytest.fixture(autouse=True)
def _settings(override_environment):
    override_environment(
        public_url="https://bell.example.com", vonage_signature_secret=SECRET, sms_provider="vonage"
    )


@pytest.fixture
def message():
    (made,) = make_messages(1, channel="sms", user=make_user(phone_number=NUMBER), in_batch=False)
    change_status([made.pk], MessageStatus.SENT, reason="test")
    return made


def report(client, frozen, message, status, *, secret=SECRET, **more):
    event = {"message_uuid": "u1", "to": "14155552671", "status": status, "channel": "sms", **more}
    body = json.dumps(event).encode()
    claims = {
        "iat": int(frozen.now.timestamp()),
        "payload_hash": hashlib.sha256(body).hexdigest(),
    }
    token = jwt.encode(claims, secret, algorithm="HS256")
    url = callback_url("vonage", f"{message.notification.uuid.hex}.sms")
    response = client.post(
        url.removeprefix("https://bell.example.com"),
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    apply_due(now=frozen.now)
    message.refresh_from_db()
    return response


def test_a_delivery_is_recorded(client, frozen, message):
    assert report(client, frozen, message, "delivered").status_code == 200

    assert message.status == "delivered"


def test_a_number_that_sent_stop_gets_no_more_messages(client, frozen, message):
    report(client, frozen, message, "rejected", error=OPTED_OUT)

    assert message.status == "failed"
    assert ContactPoint.objects.get(kind="phone").state != "active"


def test_a_callback_that_vonage_did_not_sign_changes_nothing(client, frozen, message):
    other = "another-signature-secret-of-forty-chars-x"

    assert report(client, frozen, message, "rejected", secret=other).status_code == 403

    assert NotificationMessage.objects.get().status == "sent"
    assert not ProviderCallback.objects.exists()
