"""Each provider can be asked whether its account is good, and sends nothing for it."""

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
async def ask(settings):
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
async def test_a_good_account_is_good(ask, key):
    assert await ask(key) == ""
    assert [request.method for request in ask.sink.requests] == ["GET"]


@pytest.mark.parametrize("key", SETTINGS)
async def test_refused_credentials_are_told_without_them(ask, key):
    found = await ask(key, Reply(401))

    assert "HTTP 401" in found
    assert "1:t" not in found


@pytest.mark.parametrize("key", SETTINGS)
async def test_a_vendor_that_is_away_is_told(ask, key):
    await ask.sink.stop()

    assert "connection failed" in await ask(key)


@pytest.mark.parametrize(
    ("key", "body", "words"),
    [
        ("twilio", {"status": "suspended"}, "the account is suspended"),
        ("ses", {"SendingEnabled": False}, "sending is paused"),
        ("ses", {"ProductionAccessEnabled": False}, "SES's sandbox"),
    ],
)
async def test_an_account_that_may_not_send_is_told(ask, key, body, words):
    assert words in await ask(key, Reply(body=json.dumps(body).encode()))


async def test_a_vapid_key_that_cannot_sign_is_told(ask):
    assert await ask("webpush") == ""
    assert "neither PEM nor 32 bytes" in await ask("webpush", webpush_private_key="AAAA")


async def test_a_mail_services_missing_setting_is_named(ask):
    assert "POSTMARK_SERVER_TOKEN" in await ask("anymail", anymail_backend="postmark")
    assert (
        await ask("anymail", anymail_backend="postmark", anymail_settings='{"server_token": "t"}')
        == ""
    )


async def test_an_unreadable_service_account_is_told(ask):
    assert "CARILLON_FCM_CREDENTIALS" in await ask("fcm", fcm_credentials="/nowhere.json")


@pytest.mark.parametrize("key", ["sandbox", "in_app", "webhook", "apprise"])
async def test_where_there_is_nobody_to_ask_nothing_is_wrong(ask, key):
    assert await ask(key) == ""
