"""Twilio's address and our own have a port: Twilio is called there, and its signature is accepted
with or without our port."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client
from twilio.request_validator import RequestValidator, add_port, remove_port

from carillon.settings.environment import read_environment
from notifications.delivery.vendors.twilio.send import TwilioSMSProvider
from notifications.domain.messages import Content, OutboundMessage, SendResult
from notifications.features.receipts.apply import apply_due
from notifications.infra import clock
from notifications.models import NotificationMessage
from notifications.testing.servers import HTTPSink, Reply
from tests.integration.factories import make_messages

pytestmark = [pytest.mark.django_db, pytest.mark.once]
SID, TOKEN, NUMBER = "AC" + "a" * 32, "secret", "+4915112345678"
QUEUED = b'{"sid": "SM1", "status": "queued", "error_code": null}'
SPELLINGS = {"unchanged": lambda parts: parts.geturl(), "with": add_port, "out": remove_port}


@pytest.fixture
def sms(settings: Any) -> NotificationMessage:
    (made,) = make_messages(1, channel="sms", in_batch=False, status="sent", provider="twilio")
    return made


async def send(settings: Any, public_url: str, reference: str) -> tuple[SendResult, Any]:
    """Returns the provider's result and its only request to Twilio, whose address is a setting."""
    async with HTTPSink(script=lambda _: Reply(201, body=QUEUED)) as sink:
        assert urlsplit(sink.url).port not in (None, 80, 443)
        read = read_environment(
            {
                "CARILLON_TWILIO_BASE_URL": f"{sink.url}/",
                "CARILLON_TWILIO_ACCOUNT_SID": SID,
                "CARILLON_TWILIO_AUTH_TOKEN": TOKEN,
                "CARILLON_TWILIO_FROM": "+15005550006",
                "CARILLON_PUBLIC_URL": public_url,
                "CARILLON_SECRET_KEY": "x" * 50,
            }
        )
        names = [field.name for field in dataclasses.fields(read) if "twilio" in field.name]
        values = {name: getattr(read, name) for name in [*names, "public_url"]}
        settings.CARILLON = dataclasses.replace(settings.CARILLON, **values)
        provider = TwilioSMSProvider()
        outbound = OutboundMessage(1, reference, "sms", NUMBER, Content("Paid", "Thank you"))
        (result,) = await provider.send_batch([outbound])
        await provider.close()
        (request,) = sink.requests
        return result, request


@pytest.mark.parametrize("signed", SPELLINGS)
@pytest.mark.parametrize(
    "public_url", ["https://bell.example.com", "https://bell.example.com:8443"]
)
def test_it_is_called_there_and_its_callback_is_accepted(
    public_url: str, signed: str, sms: NotificationMessage, client: Client, settings: Any
) -> None:
    reference = f"{sms.notification.uuid.hex}.sms"

    result, request = asyncio.run(send(settings, public_url, reference))

    assert (result.verdict, result.provider_message_id) == ("sent", "SM1")
    assert request.path == f"/2010-04-01/Accounts/{SID}/Messages.json"
    (url,) = parse_qs(request.body.decode())["StatusCallback"]
    assert url.startswith(f"{public_url}/api/v1/callbacks/twilio?")
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": NUMBER}
    signature = RequestValidator(TOKEN).compute_signature(SPELLINGS[signed](urlsplit(url)), form)
    assert report(client, url, form, signature) == 200
    apply_due(now=clock.now())
    sms.refresh_from_db()
    assert sms.status == "delivered"


def test_another_port_is_another_address(
    sms: NotificationMessage, client: Client, settings: Any
) -> None:
    reference = f"{sms.notification.uuid.hex}.sms"
    _, request = asyncio.run(send(settings, "https://bell.example.com:8443", reference))
    (url,) = parse_qs(request.body.decode())["StatusCallback"]
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": NUMBER}

    elsewhere = url.replace(":8443", ":9443")
    signature = RequestValidator(TOKEN).compute_signature(elsewhere, form)

    assert report(client, url, form, signature) == 403


def report(client: Client, url: str, form: dict[str, str], signature: str) -> int:
    """Twilio's call behind a proxy: its host and port differ from those that were called."""
    parts = urlsplit(url)
    response = client.post(
        f"{parts.path}?{parts.query}",
        urlencode(form),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signature},
    )
    return response.status_code
