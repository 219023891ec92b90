"""Chats through Apprise: which URLs may be called, and the results of its calls."""

from __future__ import annotations

import dataclasses
import json
import logging

import pytest

from notifications.delivery.vendors.apprise.send import AppriseChatProvider
from notifications.domain.messages import Content, OutboundMessage, Verdict
from notifications.testing.servers import HTTPSink, Reply


@pytest.fixture
async def chat(settings):
    settings.CARILLON = dataclasses.replace(settings.CARILLON, webhook_allow_private=True)
    async with HTTPSink() as sink:
        yield sink


async def sent(recipient, content=None):
    provider = AppriseChatProvider()
    (result,) = await provider.send_batch(
        [
            OutboundMessage(
                1, "0190aa.chat", "chat", recipient, content or Content("Paid", "We got <5> & more")
            )
        ]
    )
    await provider.close()
    return result


async def test_a_message_is_sent_as_plain_text(chat):
    result = await sent(f"json://127.0.0.1:{chat.port}/chat")

    body = json.loads(chat.requests[0].body)
    assert (result.verdict, result.provider_message_id) == (Verdict.SENT, "0190aa.chat")
    assert (body["title"], body["message"]) == ("Paid", "We got <5> & more")


async def test_a_title_without_a_body_is_the_body(chat):
    await sent(f"json://127.0.0.1:{chat.port}/", Content("Paid", ""))

    assert json.loads(chat.requests[0].body)["message"] == "Paid"


async def test_a_redirect_is_not_followed(chat):
    chat.script = lambda _: Reply(302, headers={"Location": f"{chat.url}/elsewhere"})

    result = await sent(f"json://127.0.0.1:{chat.port}/")

    assert (result.verdict, result.error_code) == (Verdict.FAILED, "http_302")
    assert chat.count == 1


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", True),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", True),
        ("workflows://prod-12.westus.logic.azure.com:443/643e69f83c8944/iUNqS84f/", True),
        ("workflows://azure.example.com:443/643e69f83c8944/iUNqS84f/", False),
        ("ntfy://ntfy.sh/topic", True),
        ("json://10.0.0.5/hook", False),
        ("json://127.0.0.1/hook", False),
        ("syslog://", False),
        ("dbus://", False),
        ("nonsense://x", False),
        ("https://example.com/hook", False),
        ("", False),
    ],
)
async def test_only_public_and_named_services_may_be_called(settings, url, allowed):
    settings.CARILLON = dataclasses.replace(settings.CARILLON, webhook_allow_private=False)
    provider = AppriseChatProvider()

    assert await provider.validate_recipient(url) is allowed
    await provider.close()


async def test_a_host_is_called_once_the_operator_names_it(settings, chat):
    settings.CARILLON = dataclasses.replace(
        settings.CARILLON, webhook_allow_private=False, apprise_hosts=("127.0.0.1",)
    )

    result = await sent(f"json://127.0.0.1:{chat.port}/")

    assert result.verdict is Verdict.SENT


async def test_the_log_of_apprise_is_stored_and_not_printed(chat, capfd):
    chat.script = lambda _: Reply(500)

    result = await sent(f"json://127.0.0.1:{chat.port}/secret-chat")

    written = capfd.readouterr()
    assert (result.verdict, result.error_code) == (Verdict.RETRY, "http_500")
    assert "error=500" in result.response["log"]
    assert "secret-chat" not in written.err + written.out
    assert logging.getLogger("apprise").propagate is False
