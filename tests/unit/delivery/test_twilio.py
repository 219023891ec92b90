"""SMS through Twilio: the request, and the meaning of each code."""

from __future__ import annotations

import base64
import dataclasses
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from notifications.delivery import accounts
from notifications.delivery.accounts import StoredAccount
from notifications.delivery.callback_urls import reference_in
from notifications.delivery.vendors.twilio.send import TwilioSMSProvider
from notifications.domain.messages import Content, OutboundMessage, Verdict
from notifications.testing.servers import HTTPSink, Reply

SID = "AC" + "a" * 32
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUEUED = json.dumps(
    {"sid": "SM" + "b" * 32, "status": "queued", "num_segments": "1", "error_code": None}
).encode()


@pytest.fixture
async def twilio():
    async with HTTPSink(script=lambda _: Reply(201, body=QUEUED)) as sink:
        yield sink


@pytest.fixture
def configured(settings, twilio):
    def configure(**more):
        values = {
            "public_url": "https://bell.example.com",
            "twilio_base_url": twilio.url,
            "twilio_account_sid": SID,
            "twilio_auth_token": "secret",
            "twilio_from": "+15005550006",
        }
        settings.CARILLON = dataclasses.replace(settings.CARILLON, **{**values, **more})

    configure()
    return configure


def message(**more):
    values = {
        "message_id": 1,
        "reference": "0190aa.sms",
        "channel": "sms",
        "recipient": "+4915112345678",
        "content": Content("Paid", "We got 5 €"),
    }
    return OutboundMessage(**{**values, **more})


async def sent(given=None):
    provider = TwilioSMSProvider()
    (result,) = await provider.send_batch([given or message()])
    await provider.close()
    return result


async def test_a_message_is_posted_as_a_form(configured, twilio):
    result = await sent()

    (request,) = twilio.requests
    form = parse_qs(request.body.decode(), strict_parsing=True)
    assert result.verdict is Verdict.SENT
    assert result.provider_message_id == "SM" + "b" * 32
    assert request.path == f"/2010-04-01/Accounts/{SID}/Messages.json"
    assert request.headers["authorization"] == (
        "Basic " + base64.b64encode(f"{SID}:secret".encode()).decode()
    )
    assert form["To"] == ["+4915112345678"]
    assert form["From"] == ["+15005550006"]
    assert form["Body"] == ["Paid\nWe got 5 €"]
    assert "MessagingServiceSid" not in form


async def test_the_callback_carries_our_signed_reference(configured, twilio):
    await sent()

    (url,) = parse_qs(twilio.requests[0].body.decode())["StatusCallback"]
    query = dict(parse_qsl(urlsplit(url).query))
    assert url.startswith("https://bell.example.com/api/v1/callbacks/twilio?")
    assert reference_in("twilio", query) == "0190aa.sms"
    assert reference_in("twilio", {**query, "reference": "0190ab.sms"}) == ""
    assert reference_in("ses", query) == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://bell", "http://10.1.2.3"])
async def test_a_callback_that_twilio_cannot_reach_is_not_named(configured, twilio, url):
    configured(public_url=url)

    await sent()

    assert b"StatusCallback" not in twilio.requests[0].body


async def test_a_messaging_service_replaces_the_number(configured, twilio):
    configured(twilio_messaging_service="MG" + "c" * 32)

    await sent()

    form = parse_qs(twilio.requests[0].body.decode())
    assert form["MessagingServiceSid"] == ["MG" + "c" * 32]
    assert "From" not in form


async def test_an_sms_does_not_arrive_after_it_expires(configured, twilio, frozen):
    frozen.now = AT

    await sent(message(expires_at_s=AT.timestamp() + 90))
    await sent(message(expires_at_s=AT.timestamp() + 90_000))

    bodies = [parse_qs(request.body.decode()) for request in twilio.requests]
    assert [body["ValidityPeriod"] for body in bodies] == [["90"], ["36000"]]


@pytest.mark.parametrize(
    ("status", "code", "verdict", "error_code", "dead"),
    [
        (400, 21211, Verdict.FAILED, "twilio_21211", True),
        (400, 21614, Verdict.FAILED, "twilio_21614", True),
        (400, 21610, Verdict.FAILED, "unsubscribed", True),
        (400, 21408, Verdict.FAILED, "twilio_21408", False),
        (400, 21612, Verdict.FAILED, "twilio_21612", False),
        (400, 21611, Verdict.RETRY, "twilio_21611", False),
        (429, 20429, Verdict.RETRY, "twilio_20429", False),
        (401, 20003, Verdict.RETRY, "auth", False),
        (400, 21606, Verdict.RETRY, "auth", False),
        (404, 20404, Verdict.RETRY, "auth", False),
    ],
)
async def test_the_error_code_decides_before_the_status(
    configured, twilio, status, code, verdict, error_code, dead
):
    body = {"code": code, "message": "To +4915112345678 is wrong", "status": status}
    twilio.script = lambda _: Reply(status, body=json.dumps(body).encode())

    result = await sent()

    assert (result.verdict, result.error_code, result.recipient_dead) == (verdict, error_code, dead)
    assert result.error == f"Twilio error {code}"


async def test_a_message_that_failed_at_once_is_not_sent(configured, twilio):
    body = {"sid": "SM1", "status": "failed", "error_code": 30001}
    twilio.script = lambda _: Reply(201, body=json.dumps(body).encode())

    result = await sent()

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "twilio_30001")


@pytest.mark.parametrize("number", ["015112345678", "+49 151 12345678", "+4", "ann", "+999123"])
async def test_only_e164_is_a_number(configured, twilio, number):
    result = await sent(message(recipient=number))

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "invalid_recipient")
    assert twilio.count == 0


async def test_a_text_beyond_twilios_limit_is_not_sent(configured, twilio):
    result = await sent(message(content=Content("", "x" * 1601)))

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "text_too_long")
    assert twilio.count == 0


async def test_a_missing_account_loses_no_message(configured, twilio):
    configured(twilio_auth_token="")

    result = await sent()

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "not_configured")
    assert "CARILLON_TWILIO_ACCOUNT_SID" in result.error
    assert twilio.count == 0


async def test_a_stored_account_overrides_the_environment(configured, twilio, monkeypatch):
    row = StoredAccount(3, {"from": "+15005550009", "auth_token": "other"})
    monkeypatch.setattr(accounts, "_stored", {"twilio": row})

    await sent()

    (request,) = twilio.requests
    assert parse_qs(request.body.decode())["From"] == ["+15005550009"]
    assert base64.b64decode(request.headers["authorization"][6:]).endswith(b":other")
    assert accounts.version_of("twilio") == 3


async def test_the_documented_arguments_name_an_account(configured, twilio):
    provider = TwilioSMSProvider("AC" + "d" * 32, "token", "+15005550001")

    outcome = await provider.send("+4915112345678", {"title": "", "body": "hello"})
    await provider.close()

    (request,) = twilio.requests
    assert outcome["success"] is True
    assert outcome["message_id"] == "SM" + "b" * 32
    assert "AC" + "d" * 32 in request.path
    assert parse_qs(request.body.decode())["Body"] == ["hello"]
