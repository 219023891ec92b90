"""Providers accept the documented names of messages, and the documented arguments."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from notifications.delivery.base import with_our_names
from notifications.delivery.vendors.fcm.send import request_of
from notifications.services import AWSSESEmailProvider, TwilioSMSProvider
from notifications.testing.servers import HTTPSink, Reply

MAIL = {"subject": "Paid", "body": "short", "html_body": "<p>5 €</p>", "type": "payment"}


def test_documented_names_are_mapped_to_our_names() -> None:
    ours = with_our_names(MAIL)
    assert (ours["title"], ours["body"], ours["html"]) == ("Paid", "short", "<p>5 €</p>")
    assert ours["category"] == "payment"
    assert with_our_names({**MAIL, "text_body": "long", "html_body": None})["body"] == "long"
    assert with_our_names({"subject": "x"})["body"] == ""
    assert ours["reference"] != with_our_names(MAIL)["reference"]


def test_icon_and_url_of_a_push_become_data() -> None:
    push = {"title": "T", "body": "B", "icon": "/i.png", "url": "https://x.example/"}
    ours = with_our_names({**push, "data": {"icon": "/own.png"}})
    assert ours["data"] == {"icon": "/own.png", "url": "https://x.example/"}
    made = request_of("token", with_our_names(push), 0.0)
    assert made["webpush"]["fcm_options"] == {"link": "https://x.example/"}


def test_a_message_of_the_pipeline_is_unchanged() -> None:
    made = {"reference": "r", "title": "T", "subject": "S"}
    assert with_our_names(made) is made


@pytest.mark.parametrize(("priority", "sent"), [(1, "10"), (2, "10"), (3, "5"), (4, "5")])
def test_the_priority_becomes_the_urgency_of_apple(priority: int, sent: str) -> None:
    made = request_of("token", {"title": "T", "body": "B", "priority": priority}, 0.0)
    assert made["apns"]["headers"]["apns-priority"] == sent
    assert made["android"]["priority"] == ("HIGH" if sent == "10" else "NORMAL")
    assert made["webpush"]["headers"]["Urgency"] == ("high" if sent == "10" else "normal")


async def test_ses_sends_with_the_documented_arguments(settings: Any) -> None:
    async with HTTPSink(script=lambda _: Reply(body=b'{"MessageId": "m-1"}')) as sink:
        settings.CARILLON = dataclasses.replace(
            settings.CARILLON, email_from="bell@example.com", ses_base_url=sink.url
        )
        provider = AWSSESEmailProvider("key", "secret", "eu-west-1")
        outcome = await provider.send("ann@example.org", MAIL)
        await provider.close()
    assert (outcome["success"], outcome["message_id"]) == (True, "m-1")
    assert outcome["provider_response"]
    tags = json.loads(sink.requests[0].body)["EmailTags"]
    assert {"Name": "NotificationType", "Value": "payment"} in tags


async def test_twilio_sends_with_the_documented_arguments(settings: Any) -> None:
    reply = Reply(status=201, body=b'{"sid": "SM1", "status": "queued"}')
    async with HTTPSink(script=lambda _: reply) as sink:
        settings.CARILLON = dataclasses.replace(settings.CARILLON, twilio_base_url=sink.url)
        provider = TwilioSMSProvider("AC1", "token", "+15005550006")
        outcome = await provider.send("+14155550100", {"body": "Hello"})
        await provider.close()
    assert (outcome["success"], outcome["message_id"]) == (True, "SM1")
    assert b"Body=Hello&From=%2B15005550006" in sink.requests[0].body
