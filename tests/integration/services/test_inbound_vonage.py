"""STOP and START by Vonage: from its signed webhook to the messages that are suppressed."""

from __future__ import annotations

import hashlib
import json

import jwt
import pytest

from directory.models import ContactPoint, Suppression
from notifications.models import ConsentRecord, InboundSms
from notifications.recording.contacts import close_contact
from tests.integration.factories import make_template, make_willing_user

pytestmark = pytest.mark.django_db
NUMBER = "+14155552671"
SECRET = "a-signature-secret-of-forty-characters-x"


@pytest.fixture(autouse=True)
def _settings(frozen, override_environment):
    override_environment(
        public_url="https://bell.example.com",
        vonage_signature_secret=SECRET,
        sms_help_text="Call us.",
    )


@pytest.fixture
def person():
    make_template()
    return make_willing_user(phone_number=NUMBER)


def say(client, frozen, said, *, uuid="u1", secret=SECRET, **more):
    event = {
        "channel": "sms",
        "message_uuid": uuid,
        "to": "15005550006",
        "from": NUMBER.removeprefix("+"),
        "timestamp": "2030-05-01T12:00:00Z",
        "message_type": "text",
        "text": said,
        "sms": {"num_messages": "1", "keyword": said.upper()},
        **more,
    }
    body = json.dumps(event).encode()
    claims = {
        "iat": int(frozen.now.timestamp()),
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "abcd1234",
    }
    token = jwt.encode(claims, secret, algorithm="HS256")
    return client.post(
        "/inbound/vonage",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )


def test_stop_and_start_count_once_each(client, frozen, person):
    response = say(client, frozen, "Stop")

    assert (response.status_code, response.content) == (200, b"")
    point = ContactPoint.objects.get(kind="phone")
    assert point.state == "unsubscribed"
    assert Suppression.objects.get().source == "sms_stop"
    assert (InboundSms.objects.get().provider, InboundSms.objects.get().keyword) == (
        "vonage",
        "stop",
    )

    assert say(client, frozen, "START", uuid="u2").status_code == 200
    assert say(client, frozen, "Stop").status_code == 200  # delivered once more, late

    point.refresh_from_db()
    assert point.state != "unsubscribed"
    assert not Suppression.objects.exists()
    assert [entry.granted for entry in ConsentRecord.objects.order_by("pk")] == [False, True]


def test_start_reverses_vonages_refusal(client, frozen, person):
    close_contact(
        channel="sms",
        user_id=person.pk,
        address=NUMBER,
        code="unsubscribed",
        reason="vonage: Vonage error 1240",
    )

    say(client, frozen, "start")

    assert ContactPoint.objects.get(kind="phone").state == "active"


def test_help_is_stored_and_vonage_gets_an_empty_response(client, frozen, person):
    response = say(client, frozen, "HELP")

    assert (response.status_code, response.content) == (200, b"")
    assert InboundSms.objects.get().keyword == "help"


def test_a_text_that_vonage_did_not_sign_is_refused(client, frozen):
    other = "another-signature-secret-of-forty-chars-x"

    assert say(client, frozen, "STOP", secret=other).status_code == 403
    assert client.post("/inbound/vonage", b"{}", content_type="application/json").status_code == 403
    assert not InboundSms.objects.exists()


@pytest.mark.parametrize(
    "more",
    [
        {"text": None},
        {"text": 7},
        {"channel": "whatsapp"},
        {"message_uuid": ""},
        {"message_uuid": ["u"]},
        {"from": ""},
        {"from": "1\x00"},
    ],
)
def test_a_request_that_is_not_a_text_is_refused(client, frozen, more):
    assert say(client, frozen, "STOP", **more).status_code == 400
    assert not InboundSms.objects.exists()


def test_text_that_no_database_stores_is_stored_without_it(client, frozen, person):
    assert say(client, frozen, "hi\x00 \ud83c there").status_code == 200

    assert InboundSms.objects.get().content["text"] == "hi  there"
