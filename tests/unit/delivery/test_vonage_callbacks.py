"""Vonage's status callbacks: their verification, and their receipts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest

from notifications.delivery.callback_urls import callback_url
from notifications.delivery.callbacks.base import (
    CallbackRefused,
    CallbackUnreadable,
    IncomingCall,
)
from notifications.delivery.registry import callback_reader
from notifications.domain.receipts import ReceiptKind

SECRET = "a-signature-secret-of-forty-characters-x"
UUID = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"
SMS = f"{7:032x}.sms"
EVENT = {
    "message_uuid": UUID,
    "to": "447700900000",
    "from": "447700900001",
    "timestamp": "2030-05-01T11:59:58Z",
    "status": "delivered",
    "channel": "sms",
    "usage": {"currency": "EUR", "price": "0.0333"},
    "client_ref": SMS,
}
READER = callback_reader("vonage")


@pytest.fixture(autouse=True)
def configure(settings, frozen):
    def override(**values):
        settings.CARILLON = dataclasses.replace(settings.CARILLON, **values)

    override(public_url="https://bell.example.com", vonage_signature_secret=SECRET)
    return override


def token(body, frozen, *, secret=SECRET, algorithm="HS256", **more):
    claims = {
        "iat": int(frozen.now.timestamp()),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "abcd1234",
        "application_id": "app-1",
    }
    return jwt.encode({**claims, **more}, secret, algorithm=algorithm)


def call(body, authorization=None, *, url="https://bell.example.com/api/v1/callbacks/vonage"):
    headers = {"content-type": "application/json"}
    if authorization is not None:
        headers["authorization"] = authorization
    return IncomingCall("POST", url, dict(parse_qsl(urlsplit(url).query)), headers, body)


def event(**more):
    return json.dumps({**EVENT, **more}, separators=(",", ":")).encode()


def test_a_call_that_vonage_signed_is_accepted(frozen):
    READER.check(call(event(), f"Bearer {token(event(), frozen)}"))


@pytest.mark.parametrize(
    "change",
    [
        {"secret": "another-signature-secret-of-forty-chars-x"},
        {"algorithm": "HS384", "secret": SECRET * 2},
        {"payload_hash": hashlib.sha256(b"another body").hexdigest()},
        {"payload_hash": None},
        {"payload_hash": "\u00e9"},
        {"payload_hash": "\ud800"},
        {"iat": None},
        {"iat": 4_000_000_000},
        {"exp": 1_000_000_000},
        {"application_id": "another"},
    ],
)
def test_a_call_that_vonage_did_not_sign_is_refused(configure, frozen, change):
    configure(vonage_application_id="app-1")

    with pytest.raises(CallbackRefused):
        READER.check(call(event(), f"Bearer {token(event(), frozen, **change)}"))


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer x.y.z", "Basic YTpi"])
def test_a_call_without_a_token_is_refused(authorization):
    with pytest.raises(CallbackRefused):
        READER.check(call(event(), authorization))


def test_an_unsigned_token_is_refused(frozen):
    unsigned = token(event(), frozen, secret=None, algorithm="none")

    with pytest.raises(CallbackRefused):
        READER.check(call(event(), f"Bearer {unsigned}"))


def test_without_a_secret_every_call_is_refused_with_the_setting(configure, frozen):
    configure(vonage_signature_secret="")

    assert READER.missing_setting() == "set CARILLON_VONAGE_SIGNATURE_SECRET"
    with pytest.raises(CallbackRefused) as refused:
        READER.check(call(event(), f"Bearer {token(event(), frozen)}"))
    assert refused.value.detail == READER.missing_setting()


def test_a_stored_secret_does_not_replace_the_environments(stored, frozen):
    """A caller who may store an account could otherwise forge STOP and START of others."""
    evil = "evil-signature-secret-of-forty-characters"
    stored(vonage={"signature_secret": evil})

    with pytest.raises(CallbackRefused):
        READER.check(call(event(), f"Bearer {token(event(), frozen, secret=evil)}"))


def test_a_stored_secret_is_used_if_the_environment_has_none(configure, stored, frozen):
    configure(vonage_signature_secret="")
    stored(vonage={"signature_secret": SECRET})

    READER.check(call(event(), f"Bearer {token(event(), frozen)}"))


ERROR = {"type": "https://developer.vonage.com/api-errors/messages#{}", "title": 0}


def error(code):
    kind = ERROR["type"].format(code)
    return {"type": kind, "title": code, "detail": "447700900000", "instance": "i"}


@pytest.mark.parametrize(
    ("status", "given", "kind", "code"),
    [
        ("submitted", None, ReceiptKind.SENT, ""),
        ("delivered", None, ReceiptKind.DELIVERED, ""),
        ("read", None, ReceiptKind.DELIVERED, ""),
        ("rejected", error(1000), ReceiptKind.FAILED, "vonage_1000"),
        ("rejected", error(1170), ReceiptKind.BOUNCED, "vonage_1170"),
        ("rejected", error(1190), ReceiptKind.BOUNCED, "vonage_1190"),
        ("rejected", error(1240), ReceiptKind.BLOCKED, "vonage_1240"),
        ("rejected", {"error": error(1240)}, ReceiptKind.BLOCKED, "vonage_1240"),
        ("rejected", {"title": 1240}, ReceiptKind.BLOCKED, "vonage_1240"),
        ("rejected", {"title": "Absent"}, ReceiptKind.FAILED, ""),
        ("undeliverable", error(1260), ReceiptKind.FAILED, "vonage_1260"),
    ],
)
def test_each_status_means_what_vonage_says(status, given, kind, code):
    more = {"error": given} if given else {}

    (receipt,) = READER.read(call(event(status=status, **more)))

    assert (receipt.kind, receipt.code) == (kind, code)
    assert receipt.at == datetime(2030, 5, 1, 11, 59, 58, tzinfo=UTC)
    assert receipt.reference == SMS
    assert receipt.provider_message_id == UUID
    assert receipt.address == "+447700900000"
    assert "447700900000" not in receipt.detail


def test_the_signed_url_overrides_the_reference_in_the_body():
    url = callback_url("vonage", SMS)

    (receipt,) = READER.read(call(event(client_ref="0190ff.sms"), url=url))
    assert receipt.reference == SMS
    (receipt,) = READER.read(call(event(), url=url.replace("token=", "token=x")))
    assert receipt.reference == SMS  # from the body, which Vonage's token signs


def test_an_event_of_another_channel_has_no_receipt():
    assert READER.read(call(event(channel="whatsapp"))) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>",
        event(status="vanished"),
        event(timestamp="soon"),
        event(timestamp=[7]),
    ],
)
def test_an_undocumented_body_of_vonage_is_unreadable(body):
    with pytest.raises(CallbackUnreadable):
        READER.read(call(body))
