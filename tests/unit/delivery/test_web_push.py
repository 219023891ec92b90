"""Web Push: encryption by the RFC's example, and the request of RFC 8030."""

from __future__ import annotations

import dataclasses
import json
from base64 import urlsafe_b64decode
from datetime import timedelta

import http_ece
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from notifications.delivery.vendors.webpush.crypto import (
    LONGEST_PAYLOAD,
    decoded,
    derived_key,
    encoded,
    encrypt,
    private_key,
    public_key,
)
from notifications.delivery.vendors.webpush.send import WebPushProvider, topic_of
from notifications.domain.messages import Content, OutboundMessage, Retraction, Verdict
from notifications.testing.servers import HTTPSink, Reply

AUTH = b"0123456789abcdef"


def open_b64(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_the_rfcs_example_is_reproduced():
    """RFC 8291, section 5 and appendix A."""
    body = encrypt(
        b"When I grow up, I want to be a watermelon",
        receiver=open_b64(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        ),
        auth=open_b64("BTBZMqHH6r4Tts7J_aSIgg"),
        sender=private_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
        salt=open_b64("DGv6ra1nlYgDCS1FRnbzlw"),
    )

    assert encoded(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6"
        "TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulc"
        "y4a-fN"
    )


class Browser:
    """A subscription, and an independent library that reads its messages."""

    def __init__(self, endpoint):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.endpoint = endpoint

    @property
    def point(self):
        return self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def subscription(self):
        keys = {"p256dh": encoded(self.point), "auth": encoded(AUTH)}
        return json.dumps({"endpoint": self.endpoint, "keys": keys})

    def read(self, body):
        plain = http_ece.decrypt(body, private_key=self.key, auth_secret=AUTH, version="aes128gcm")
        return json.loads(plain)


@pytest.fixture
async def service(settings):
    settings.CARILLON = dataclasses.replace(
        settings.CARILLON, webhook_allow_private=True, webpush_contact="mailto:ops@example.com"
    )
    async with HTTPSink(script=lambda _: Reply(201, headers={"Location": "/m/17"})) as sink:
        yield sink


@pytest.fixture
def browser(service):
    return Browser(f"{service.url}/push/abc")


async def sent(browser, *, provider=None, **more):
    values = {
        "message_id": 1,
        "reference": "0190aa.push",
        "channel": "push",
        "recipient": browser.subscription(),
        "content": Content("Paid", "Мы получили 5 €", data={"url": "https://a.example/x", "n": 1}),
    }
    used = provider or WebPushProvider()
    (result,) = await used.send_batch([OutboundMessage(**{**values, **more})])
    if provider is None:
        await used.close()
    return result


async def test_an_independent_library_reads_what_was_sent(service, browser):
    result = await sent(browser, collapse_key="order-5")

    (request,) = service.requests
    assert browser.read(request.body) == {
        "title": "Paid",
        "body": "Мы получили 5 €",
        "url": "https://a.example/x",
        "tag": "order-5",
        "data": {"url": "https://a.example/x", "n": 1, "reference": "0190aa.push"},
    }
    assert (result.verdict, result.provider_message_id) == (Verdict.SENT, "/m/17")


async def test_a_push_is_shown_under_what_its_notification_is_called(service, browser):
    await sent(browser)

    (request,) = service.requests
    assert browser.read(request.body)["tag"] == "0190aa"
    assert request.headers["topic"] == topic_of("0190aa")


@pytest.mark.parametrize(("tag", "topic"), [("0190aa", topic_of("0190aa")), ("order-5", None)])
async def test_a_retraction_replaces_only_its_own_push(service, browser, tag, topic):
    """A push service that holds several of a collapse key would drop a newer one for it."""
    await sent(browser, reference="0190bb.push", retracts=Retraction(tag, "0190aa.push"))

    (request,) = service.requests
    assert browser.read(request.body) == {
        "type": "retract",
        "tag": tag,
        "reference": "0190aa.push",
    }
    assert request.headers.get("topic") == topic


async def test_the_headers_are_those_of_the_rfcs(service, browser, frozen):
    ends_at = frozen.now + timedelta(minutes=5)

    await sent(browser, priority=1, collapse_key="order-5", expires_at_s=ends_at.timestamp())

    headers = service.requests[0].headers
    assert headers["content-encoding"] == "aes128gcm"
    assert headers["ttl"] == "300"
    assert headers["urgency"] == "high"
    assert headers["topic"] == topic_of("order-5")
    assert len(headers["topic"]) == 32


async def test_the_public_key_of_browsers_verifies_the_vapid_signature(
    service, browser, settings, frozen
):
    await sent(browser)

    scheme, _, rest = service.requests[0].headers["authorization"].partition(" ")
    fields = dict(part.strip().split("=", 1) for part in rest.split(","))
    point = decoded(fields["k"])
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    claims = jwt.decode(
        fields["t"], key, algorithms=["ES256"], audience=service.url, options={"verify_exp": False}
    )
    assert scheme == "vapid"
    assert fields["k"] == public_key(derived_key(settings.VAPID_SEED))
    assert claims["sub"] == "mailto:ops@example.com"
    assert 0 < claims["exp"] - frozen.now.timestamp() <= 86_400


async def test_one_signature_serves_a_push_service_for_hours(service, browser, frozen):
    provider = WebPushProvider()
    for hours in (0, 11, 12):
        await sent(browser, provider=provider)
        frozen.forward(3600 * hours)
    await sent(browser, provider=provider)
    await provider.close()

    tokens = [request.headers["authorization"] for request in service.requests]
    assert tokens[0] == tokens[1] == tokens[2] != tokens[3]


@pytest.mark.parametrize(
    ("status", "verdict", "code", "dead"),
    [
        (404, Verdict.FAILED, "http_404", True),
        (410, Verdict.FAILED, "http_410", True),
        (403, Verdict.RETRY, "auth", False),
        (413, Verdict.FAILED, "http_413", False),
        (502, Verdict.RETRY, "http_502", False),
    ],
)
async def test_each_status_of_the_push_service_has_its_verdict(
    service, browser, status, verdict, code, dead
):
    service.script = lambda _: Reply(status)

    result = await sent(browser)

    assert (result.verdict, result.error_code, result.recipient_dead) == (verdict, code, dead)


async def test_a_payload_that_is_too_long_is_not_sent(service, browser):
    result = await sent(browser, content=Content("", "x" * LONGEST_PAYLOAD))

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "text_too_long")
    assert service.count == 0


def test_the_longest_payload_fills_one_record():
    browser = Browser("")

    assert len(encrypt(b"x" * LONGEST_PAYLOAD, receiver=browser.point, auth=AUTH)) == 4096


@pytest.mark.parametrize(
    "recipient",
    [
        "",
        "token",
        "{}",
        '{"endpoint": "https://push.example/x", "keys": {"p256dh": "AA", "auth": "AA"}}',
        '{"endpoint": "https://push.example/x", "keys": {"p256dh": "BB!", "auth": "?"}}',
    ],
)
async def test_only_a_subscription_is_an_address(service, browser, recipient):
    result = await sent(browser, recipient=recipient)

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "invalid_recipient")
    assert result.recipient_dead is True


async def test_a_key_that_is_no_point_is_dead(service, browser):
    keys = {"p256dh": encoded(b"\x04" + b"\x01" * 64), "auth": encoded(AUTH)}

    result = await sent(browser, recipient=json.dumps({"endpoint": browser.endpoint, "keys": keys}))

    assert (result.verdict, result.recipient_dead) == (Verdict.FAILED, True)
    assert service.count == 0


@pytest.mark.parametrize(
    "endpoint", ["http://push.example/x", "https://127.0.0.1/x", "https://10.0.0.1/x", "ftp://a/b"]
)
async def test_an_endpoint_is_public_and_https(settings, endpoint):
    settings.CARILLON = dataclasses.replace(settings.CARILLON, webhook_allow_private=False)
    provider = WebPushProvider()

    assert await provider.validate_recipient(Browser(endpoint).subscription()) is False
    assert await provider.validate_recipient(Browser("https://push.example/x").subscription())


async def test_an_unreadable_key_loses_no_message(service, browser, settings):
    settings.CARILLON = dataclasses.replace(settings.CARILLON, webpush_private_key="rubbish")

    result = await sent(browser)

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "auth")


def test_a_key_is_read_from_pem_or_from_its_number():
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    number = encoded(key.private_numbers().private_value.to_bytes(32))

    assert public_key(pem) == public_key(number)


def test_another_sort_of_key_is_refused():
    pem = (
        ed25519.Ed25519PrivateKey.generate()
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )

    with pytest.raises(ValueError, match="P-256"):
        private_key(pem)
