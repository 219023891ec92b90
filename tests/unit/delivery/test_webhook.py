"""Signed webhooks, verified by the reference library of Standard Webhooks."""

from __future__ import annotations

import base64
import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from notifications.delivery.protocols.standard_webhooks import (
    UnusableSecret,
    signature_headers,
    signing_key,
)
from notifications.delivery.vendors.webhook.send import SignedWebhookProvider
from notifications.domain.messages import Content, OutboundMessage, Verdict
from notifications.infra import clock
from notifications.testing.servers import HTTPSink, Reply

SECRET = "whsec_" + base64.b64encode(bytes(range(224, 256))).decode()


@pytest.fixture
async def provider(settings):
    settings.WEBHOOK_SECRET = SECRET
    settings.CARILLON = dataclasses.replace(
        settings.CARILLON, webhook_allow_private=True, provider_timeout_seconds=20
    )
    made = SignedWebhookProvider()
    yield made
    await made.close()


def message(url, **fields):
    content = Content("Оплата", "Тело", data={"amount": "29.99", "at": datetime(2026, 1, 1)})
    return OutboundMessage(
        **{
            "message_id": 1,
            "reference": "0190aa.webhook",
            "channel": "webhook",
            "recipient": url,
            "content": content,
            "category": "payment",
            "priority": 2,
            **fields,
        }
    )


async def test_the_receiver_can_verify_what_it_gets(provider):
    async with HTTPSink() as sink:
        (result,) = await provider.send_batch([message(sink.url + "/hook?a=1")])

    (request,) = sink.requests
    assert (request.method, request.path) == ("POST", "/hook?a=1")
    assert request.headers["content-type"] == "application/json"
    verified = Webhook(SECRET).verify(request.body, dict(request.headers))
    assert verified["type"] == "notification"
    assert verified["data"] == {
        "id": "0190aa.webhook",
        "title": "Оплата",
        "body": "Тело",
        "data": {"amount": "29.99", "at": "2026-01-01 00:00:00"},
        "category": "payment",
        "priority": 2,
    }
    assert datetime.fromisoformat(verified["timestamp"]).tzinfo is not None
    assert result.verdict is Verdict.SENT
    assert result.provider_message_id == "0190aa.webhook"
    assert result.response == {"status": 200, "body": "{}"}


async def test_a_changed_body_or_another_secret_is_detected(provider):
    async with HTTPSink() as sink:
        await provider.send_batch([message(sink.url + "/")])

    (request,) = sink.requests
    other = "whsec_" + base64.b64encode(b"another secret of 32 bytes, here").decode()
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body + b" ", dict(request.headers), json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(request.body, dict(request.headers))


def test_agrees_with_the_reference_library():
    at = datetime(2026, 3, 1, tzinfo=UTC)
    body = '{"a": "ё"}'

    ours = signature_headers([signing_key(SECRET)], "msg_1", int(at.timestamp()), body.encode())

    assert ours["webhook-signature"] == Webhook(SECRET).sign("msg_1", at, body)
    assert ours["webhook-timestamp"] == "1772323200"


async def test_a_retry_has_the_same_id_and_its_own_time(provider):
    start = datetime(2026, 3, 1, tzinfo=UTC)
    async with HTTPSink() as sink:
        for minutes in (0, 5):
            with clock.reading(lambda minutes=minutes: start + timedelta(minutes=minutes)):
                await provider.send_batch([message(sink.url + "/")])

    first, second = (request.headers for request in sink.requests)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 300


def test_the_derived_secret_is_one_that_libraries_read(settings):
    """URL-safe base64 would be decoded to another key without an error."""
    secret = settings.WEBHOOK_SECRET

    assert len(signing_key(secret)) == 32
    assert not set("-_") & set(secret.removeprefix("whsec_"))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        SECRET.removeprefix("whsec_"),
        SECRET.replace("+", "-").replace("/", "_"),
        "whsec_" + "!" * 44,
        "whsec_" + base64.b64encode(bytes(65)).decode(),
    ],
)
async def test_an_unusable_secret_sends_nothing_and_loses_no_message(provider, settings, secret):
    with pytest.raises(UnusableSecret):
        signing_key(secret)

    settings.WEBHOOK_SECRET = secret
    async with HTTPSink() as sink:
        (result,) = await provider.send_batch([message(sink.url + "/")])

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "invalid_secret")
    assert result.error == (
        "CARILLON_WEBHOOK_SECRET is not `whsec_` and standard base64 of 24 to 64 bytes."
    )
    assert sink.count == 0


@pytest.mark.parametrize(
    ("status", "verdict", "dead"),
    [
        (200, Verdict.SENT, False),
        (201, Verdict.SENT, False),
        (204, Verdict.SENT, False),
        (301, Verdict.FAILED, False),
        (307, Verdict.FAILED, False),
        (403, Verdict.FAILED, False),
        (404, Verdict.FAILED, False),
        (408, Verdict.RETRY, False),
        (410, Verdict.FAILED, True),
        (422, Verdict.FAILED, False),
        (425, Verdict.RETRY, False),
        (429, Verdict.RETRY, False),
        (500, Verdict.RETRY, False),
        (502, Verdict.RETRY, False),
        (504, Verdict.RETRY, False),
    ],
)
async def test_each_status_has_its_verdict(provider, status, verdict, dead):
    async with HTTPSink(script=lambda _: Reply(status, body=b"")) as sink:
        (result,) = await provider.send_batch([message(sink.url + "/")])

    assert (result.verdict, result.recipient_dead) == (verdict, dead)
    assert result.error_code == ("" if result.success else f"http_{status}")
    assert sink.count == 1


async def test_a_date_in_retry_after_is_understood(provider):
    headers = {"Retry-After": "Sun, 01 Mar 2026 12:10:00 GMT"}
    async with HTTPSink(script=lambda _: Reply(429, headers=headers)) as sink:
        with clock.reading(lambda: datetime(2026, 3, 1, 12, 0, tzinfo=UTC)):
            (result,) = await provider.send_batch([message(sink.url + "/")])

    assert result.retry_after_s == 600.0


async def test_the_guard_is_on_unless_a_setting_disables_it(settings):
    settings.CARILLON = dataclasses.replace(settings.CARILLON, webhook_allow_private=False)
    provider = SignedWebhookProvider()

    async with HTTPSink() as sink:
        (literal,) = await provider.send_batch([message(sink.url + "/")])
        named = await provider.send("http://localhost:8080/", {"reference": "1.webhook"})
    await provider.close()

    assert (literal.verdict, literal.error_code) == (Verdict.FAILED, "invalid_recipient")
    assert named["error_code"] == "address_refused"
    assert named["retry"] is False
    assert sink.count == 0


@pytest.mark.parametrize(
    ("url", "valid"),
    [("https://example.com/hook", True), ("ftp://example.com/", False), ("", False)],
)
async def test_a_url_is_checked_by_its_text(provider, url, valid):
    assert await provider.validate_recipient(url) is valid
