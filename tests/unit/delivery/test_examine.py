"""Each provider can check its account without sending a message."""

from __future__ import annotations

import dataclasses
import json

import pytest

from notifications.delivery.registry import provider_class
from notifications.testing.servers import HTTPSink, Reply

SETTINGS = {
    "twilio": {"twilio_account_sid": "AC1", "twilio_auth_token": "t", "twilio_from": "+1"},
    "vonage": {"vonage_api_key": "k", "vonage_api_secret": "1:t", "vonage_from": "+1"},
    "telegram": {"telegram_bot_token": "1:t"},
    "ses": {"ses_access_key_id": "AKID", "ses_secret_access_key": "s"},
}
GOOD = {
    "twilio": {"status": "active"},
    "telegram": {"ok": True, "result": {"id": 1}},
    "ses": {"SendingEnabled": True, "ProductionAccessEnabled": True},
}


@pytest.fixture
async def examine(settings):
    async with HTTPSink() as sink:

        async def question(key, reply=None, **more):
            sink.script = lambda _: reply or Reply(body=json.dumps(GOOD.get(key, {})).encode())
            given = {**SETTINGS.get(key, {}), **more}
            if key in SETTINGS:
                given[f"{key}_base_url"] = sink.url
            settings.CARILLON = dataclasses.replace(settings.CARILLON, **given)
            provider = provider_class(key)()
            await provider.open()
            found = await provider.examine()
            await provider.close()
            return found

        question.sink = sink
        yield question


@pytest.mark.parametrize("key", SETTINGS)
async def test_a_working_account_has_no_error(examine, key):
    assert await examine(key) == ""
    assert [request.method for request in examine.sink.requests] == ["GET"]


@pytest.mark.parametrize("key", SETTINGS)
async def test_refused_credentials_are_reported_without_their_value(examine, key):
    found = await examine(key, Reply(401))

    assert "HTTP 401" in found
    assert "1:t" not in found


@pytest.mark.parametrize("key", SETTINGS)
async def test_an_unreachable_vendor_is_reported(examine, key):
    await examine.sink.stop()

    assert "connection failed" in await examine(key)


@pytest.mark.parametrize(
    ("key", "body", "words"),
    [
        ("twilio", {"status": "suspended"}, "the account is suspended"),
        ("ses", {"SendingEnabled": False}, "sending is paused"),
        ("ses", {"ProductionAccessEnabled": False}, "SES's sandbox"),
    ],
)
async def test_an_account_that_may_not_send_is_reported(examine, key, body, words):
    assert words in await examine(key, Reply(body=json.dumps(body).encode()))


async def test_a_vapid_key_that_cannot_sign_is_reported(examine):
    assert await examine("webpush") == ""
    assert "neither PEM nor 32 bytes" in await examine("webpush", webpush_private_key="AAAA")


async def test_a_mail_services_missing_setting_is_named(examine):
    assert "POSTMARK_SERVER_TOKEN" in await examine("anymail", anymail_backend="postmark")
    assert (
        await examine(
            "anymail", anymail_backend="postmark", anymail_settings='{"server_token": "t"}'
        )
        == ""
    )


async def test_an_unreadable_service_account_is_reported(examine):
    assert "CARILLON_FCM_CREDENTIALS" in await examine("fcm", fcm_credentials="/nowhere.json")


@pytest.mark.parametrize("key", ["sandbox", "in_app", "webhook", "apprise"])
async def test_a_provider_without_a_vendor_has_no_error(examine, key):
    assert await examine(key) == ""
