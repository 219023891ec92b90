"""SMS through Vonage: the request, and the meaning of each code."""

from __future__ import annotations

import base64
import dataclasses
import json
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from notifications.delivery.callback_urls import reference_in
from notifications.delivery.vendors.vonage.send import VonageSMSProvider
from notifications.domain.messages import Content, OutboundMessage, Verdict
from notifications.testing.servers import HTTPSink, Reply

UUID = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"
TAKEN = Reply(202, body=json.dumps({"message_uuid": UUID}).encode())
ERRORS = "https://developer.vonage.com/api-errors"


def pem_of(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture(scope="module")
def application_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
async def vonage():
    async with HTTPSink(script=lambda _: TAKEN) as sink:
        yield sink


@pytest.fixture
def configured(settings, vonage):
    def configure(**more):
        values = {
            "public_url": "https://bell.example.com",
            "vonage_base_url": vonage.url,
            "vonage_api_key": "abcd1234",
            "vonage_api_secret": "secret",
            "vonage_from": "+447700900001",
        }
        settings.CARILLON = dataclasses.replace(settings.CARILLON, **{**values, **more})

    configure()
    return configure


def message(**more):
    values = {
        "message_id": 1,
        "reference": "0190aa.sms",
        "channel": "sms",
        "recipient": "+447700900000",
        "content": Content("Paid", "We got 5 €"),
    }
    return OutboundMessage(**{**values, **more})


async def sent(given=None, *, times=1):
    provider = VonageSMSProvider()
    for _ in range(times):
        (result,) = await provider.send_batch([given or message()])
    await provider.close()
    return result


def body_of(sink):
    return json.loads(sink.requests[0].body)


async def test_a_message_is_posted_as_the_messages_api_documents_it(configured, vonage):
    result = await sent()

    (request,) = vonage.requests
    body = body_of(vonage)
    url = body.pop("webhook_url")
    assert (result.verdict, result.provider_message_id) == (Verdict.SENT, UUID)
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == (
        "Basic " + base64.b64encode(b"abcd1234:secret").decode()
    )
    assert body == {
        "message_type": "text",
        "channel": "sms",
        "to": "447700900000",
        "from": "447700900001",
        "text": "Paid\nWe got 5 €",
        "client_ref": "0190aa.sms",
        "webhook_version": "v1",
    }
    query = dict(parse_qsl(urlsplit(url).query))
    assert url.startswith("https://bell.example.com/api/v1/callbacks/vonage?")
    assert reference_in("vonage", query) == "0190aa.sms"


@pytest.mark.parametrize("line_break", ["\n", "\\n"])
async def test_an_application_signs_its_calls(configured, vonage, application_key, line_break):
    pem = pem_of(application_key).replace("\n", line_break)
    configured(vonage_application_id="app-1", vonage_private_key=pem)

    await sent(times=2)

    first, second = (request.headers["authorization"] for request in vonage.requests)
    claims = jwt.decode(
        first.removeprefix("Bearer "), application_key.public_key(), algorithms=["RS256"]
    )
    assert claims["application_id"] == "app-1"
    assert claims["exp"] - claims["iat"] == 900
    assert claims["jti"]
    assert first == second  # one token serves many calls


async def test_a_token_is_renewed_before_it_expires(configured, vonage, application_key, frozen):
    configured(vonage_application_id="app-1", vonage_private_key=pem_of(application_key))
    provider = VonageSMSProvider()

    await provider.send_batch([message()])
    frozen.now += timedelta(seconds=600)
    await provider.send_batch([message()])

    await provider.close()
    first, second = (request.headers["authorization"] for request in vonage.requests)
    assert first != second


@pytest.mark.parametrize("pem", ["nonsense", pem_of(ec.generate_private_key(ec.SECP256R1()))])
async def test_an_unusable_key_is_reported_and_no_message_is_lost(configured, vonage, pem):
    configured(vonage_application_id="app-1", vonage_private_key=pem)

    result = await sent()

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "not_configured")
    assert result.error == "CARILLON_VONAGE_PRIVATE_KEY is not the PEM of an RSA key"
    assert vonage.requests == []
    provider = VonageSMSProvider()
    assert await provider.examine() == result.error
    await provider.close()


async def test_an_application_with_a_good_key_is_examined_without_a_call(
    configured, vonage, application_key
):
    configured(vonage_application_id="app-1", vonage_private_key=pem_of(application_key))
    provider = VonageSMSProvider()

    assert await provider.examine() == ""

    await provider.close()
    assert vonage.requests == []


@pytest.mark.parametrize("name", ["vonage_from", "vonage_api_key", "vonage_api_secret"])
async def test_a_missing_setting_is_reported_and_no_message_is_lost(configured, vonage, name):
    configured(**{name: ""})

    result = await sent()

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "not_configured")
    assert "CARILLON_VONAGE_FROM" in result.error
    assert vonage.requests == []


async def test_a_sender_of_the_message_overrides_the_settings(configured, vonage):
    await sent(message(sender="Acme"))

    assert body_of(vonage)["from"] == "Acme"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://bell", "http://10.1.2.3"])
async def test_a_callback_that_vonage_cannot_reach_is_not_named(configured, vonage, url):
    configured(public_url=url)

    await sent()

    assert not {"webhook_url", "webhook_version"} & set(body_of(vonage))
    assert body_of(vonage)["client_ref"] == "0190aa.sms"


@pytest.mark.parametrize(("left", "ttl"), [(1, 300), (3_600, 3_600), (10_000_000, 259_200)])
async def test_the_expiry_becomes_vonages_time_to_live(configured, vonage, frozen, left, ttl):
    await sent(message(expires_at_s=frozen.now.timestamp() + left))

    assert body_of(vonage)["ttl"] == ttl


async def test_a_text_that_is_too_long_is_never_sent(configured, vonage):
    result = await sent(message(content=Content("", "x" * 1001)))

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "text_too_long")
    assert vonage.requests == []


@pytest.mark.parametrize("recipient", ["447700900000", "+1", "+44 7700 900000", "ann"])
async def test_an_invalid_number_is_dead(configured, vonage, recipient):
    result = await sent(message(recipient=recipient))

    assert (result.verdict, result.recipient_dead) == (Verdict.FAILED, True)
    assert vonage.requests == []


@pytest.mark.parametrize(
    ("status", "kind", "verdict", "code", "dead"),
    [
        (422, "messages#1120", Verdict.RETRY, "auth", False),
        (422, "messages#1150", Verdict.FAILED, "vonage_1150", False),
        (422, "messages#1170", Verdict.FAILED, "vonage_1170", True),
        (422, "messages#1240", Verdict.FAILED, "unsubscribed", True),
        (422, "messages#1430", Verdict.FAILED, "vonage_1430", True),
        (422, "messages#1000", Verdict.RETRY, "vonage_1000", False),
        (422, "", Verdict.FAILED, "http_422", False),
        (401, "#unauthorized", Verdict.RETRY, "auth", False),
        (402, "#low-balance", Verdict.RETRY, "auth", False),
        (403, "", Verdict.RETRY, "auth", False),
        (429, "#throttled", Verdict.RETRY, "vonage_throttled", False),
        (500, "messages#1030", Verdict.RETRY, "vonage_1030", False),
    ],
)
async def test_each_refusal_means_what_vonage_says(
    configured, vonage, status, kind, verdict, code, dead
):
    problem = {"type": f"{ERRORS}/{kind}", "title": "No", "detail": "447700900000 is wrong"}
    vonage.script = lambda _: Reply(status, body=json.dumps(problem).encode())

    result = await sent()

    assert (result.verdict, result.error_code) == (verdict, code)
    assert result.recipient_dead is dead
    assert "447700900000" not in result.error


@pytest.mark.parametrize("body", [b"{}", b'{"message_uuid": 7}', b'{"message_uuid": ""}', b"[]"])
async def test_a_success_without_an_id_is_uncertain(configured, vonage, body):
    vonage.script = lambda _: Reply(202, body=body)

    result = await sent()

    assert (result.verdict, result.error_code) == (Verdict.UNCERTAIN, "invalid_response")


async def test_a_throttled_call_has_its_requested_delay(configured, vonage):
    vonage.script = lambda _: Reply(429, headers={"Retry-After": "7"})

    assert (await sent()).retry_after_s == 7
