"""The Bot API: the documented request, and the meaning of refusals."""

from __future__ import annotations

import dataclasses
import json

import pytest

from notifications.delivery.vendors.telegram.send import TelegramBotProvider, text_of
from notifications.domain.messages import Content, OutboundMessage, Verdict
from notifications.testing.servers import HTTPSink, Reply

OK = json.dumps({"ok": True, "result": {"message_id": 4711, "date": 1, "chat": {"id": 1}}}).encode()


@pytest.fixture
async def telegram(settings):
    async with HTTPSink(script=lambda _: Reply(body=OK)) as sink:
        settings.CARILLON = dataclasses.replace(
            settings.CARILLON, telegram_base_url=sink.url, telegram_bot_token="123:secret"
        )
        yield sink


async def sent(content=None, **more):
    provider = TelegramBotProvider()
    values = {
        "message_id": 1,
        "reference": "0190aa.telegram",
        "channel": "telegram",
        "recipient": "123456789",
        "content": content or Content("Paid", "We got 5 < 6 & more"),
    }
    (result,) = await provider.send_batch([OutboundMessage(**{**values, **more})])
    await provider.close()
    return result


def no(status, description, **parameters):
    body = {"ok": False, "error_code": status, "description": description, "parameters": parameters}
    return Reply(status, body=json.dumps(body).encode())


async def test_a_message_is_posted_as_html_with_its_text_escaped(telegram):
    result = await sent()

    (request,) = telegram.requests
    assert request.path == "/bot123:secret/sendMessage"
    assert json.loads(request.body) == {
        "chat_id": 123456789,
        "text": "<b>Paid</b>\nWe got 5 &lt; 6 &amp; more",
        "parse_mode": "HTML",
    }
    assert (result.verdict, result.provider_message_id) == (Verdict.SENT, "4711")


async def test_low_priority_makes_no_sound(telegram):
    await sent(priority=4)

    assert json.loads(telegram.requests[0].body)["disable_notification"] is True


async def test_a_public_channel_is_addressed_by_its_name(telegram):
    await sent(recipient="@bell_updates")

    assert json.loads(telegram.requests[0].body)["chat_id"] == "@bell_updates"


@pytest.mark.parametrize(
    ("status", "text", "verdict", "code", "dead"),
    [
        (403, "Forbidden: bot was blocked by the user", Verdict.FAILED, "blocked", True),
        (403, "Forbidden: user is deactivated", Verdict.FAILED, "blocked", True),
        (400, "Bad Request: chat not found", Verdict.FAILED, "unknown_chat", True),
        (400, "Bad Request: message is too long", Verdict.FAILED, "http_400", False),
        (400, "Bad Request: can't parse entities", Verdict.FAILED, "http_400", False),
        (401, "Unauthorized", Verdict.RETRY, "auth", False),
        (404, "Not Found", Verdict.RETRY, "auth", False),
        (500, "Internal Server Error", Verdict.RETRY, "http_500", False),
    ],
)
async def test_telegrams_own_error_decides(telegram, status, text, verdict, code, dead):
    telegram.script = lambda _: no(status, text)

    result = await sent()

    assert (result.verdict, result.error_code, result.recipient_dead) == (verdict, code, dead)
    assert "secret" not in result.error


async def test_a_proxys_403_expires_no_chat(telegram):
    telegram.script = lambda _: Reply(403, body=b"<html>blocked by the firewall")

    result = await sent()

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "http_403")
    assert result.recipient_dead is False


async def test_too_many_requests_wait_as_long_as_telegram_says(telegram):
    telegram.script = lambda _: no(429, "Too Many Requests: retry after 17", retry_after=17)

    result = await sent()

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "http_429")
    assert result.retry_after_s == 17.0


async def test_the_message_to_a_moved_group_is_sent_at_once(telegram):
    def respond(request):
        if json.loads(request.body)["chat_id"] == -5:
            return no(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1005)
        return Reply(body=OK)

    telegram.script = respond

    result = await sent(recipient="-5")

    assert result.verdict is Verdict.SENT
    assert [json.loads(r.body)["chat_id"] for r in telegram.requests] == [-5, -1005]


async def test_a_text_beyond_the_limit_is_not_sent(telegram):
    fits = await sent(Content("", "😀" * 2048))
    too_long = await sent(Content("", "😀" * 2048 + "x"))

    assert fits.verdict is Verdict.SENT
    assert (too_long.verdict, too_long.error_code) == (Verdict.FAILED, "text_too_long")
    assert telegram.count == 1


@pytest.mark.parametrize("chat", ["", "ann", "12 3", "@a", "+4915112345678", "1" * 20])
async def test_only_numbers_and_names_are_chats(telegram, chat):
    result = await sent(recipient=chat)

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "invalid_recipient")
    assert telegram.count == 0


async def test_a_missing_token_loses_no_message(telegram, settings):
    settings.CARILLON = dataclasses.replace(settings.CARILLON, telegram_bot_token="")

    result = await sent()

    assert (result.verdict, result.error_code) == (Verdict.RETRY, "not_configured")


def test_a_message_may_lack_its_title_or_its_body():
    assert text_of({"title": "", "body": "b"}) == "b"
    assert text_of({"title": "a", "body": ""}) == "<b>a</b>"
