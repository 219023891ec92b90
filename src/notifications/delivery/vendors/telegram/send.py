"""Telegram messages through the Bot API's sendMessage.

Fields, limits and responses: core.telegram.org/bots/api. Tests compare the request with a
machine-readable copy of that page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any, ClassVar

from notifications.delivery.accounts import settings_of
from notifications.delivery.base import (
    Capabilities,
    NotificationChannelProvider,
    link_of,
    with_our_names,
)
from notifications.delivery.http_responses import (
    accepted,
    call_failed,
    json_of,
    not_configured,
    refused,
    unclear,
)
from notifications.delivery.vendors.telegram.faults import meaning_of, parameters_of
from notifications.delivery.vendors.telegram.settings import Settings
from notifications.infra import clock
from notifications.infra.conf import environment
from notifications.infra.http.client import HttpClient, HttpFault, Response

_CALL_SHARE = 0.9
_LONGEST_TEXT = 4096  # UTF-16 units, counted after the entities are parsed
_QUIET_FROM = 4
_CHAT = re.compile(r"-?[0-9]{1,19}|@[A-Za-z][A-Za-z0-9_]{3,31}")


class TelegramBotProvider(NotificationChannelProvider):
    """Sends one message to one chat.

    A chat that is not found, or whose owner blocked the bot, is dead. `retry_after` is honoured.
    If a group became a supergroup, its message is sent to the new id at once. The Bot API carries
    no reference of the sender, so only a person can resolve an uncertain message.
    """

    key: ClassVar[str] = "telegram"
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="telegram", batch_size=1, concurrency=30, rate="30/s", chat_rate="1/s"
    )

    needs: ClassVar[tuple[str, ...]] = Settings.needs

    def __init__(self) -> None:
        given = settings_of(Settings)
        self._token = given.telegram_bot_token
        self._base = given.telegram_base_url
        self._client = HttpClient(
            timeout_s=environment().provider_timeout_seconds * _CALL_SHARE,
            connections=self.capabilities.concurrency,
        )

    async def close(self) -> None:
        await self._client.close()

    async def validate_recipient(self, recipient: str) -> bool:
        """Whether this is a chat id or the name of a public channel."""
        return _CHAT.fullmatch(recipient) is not None

    async def send(self, recipient: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Sends the title in bold and the body under it; low priority makes no sound."""
        message = with_our_names(message)
        now = clock.now()
        if not self._token:
            return not_configured("set CARILLON_TELEGRAM_BOT_TOKEN to the token from @BotFather")
        if _length(message) > _LONGEST_TEXT:
            text = f"Telegram accepts at most {_LONGEST_TEXT} characters"
            return {"success": False, "error": text, "error_code": "text_too_long"}
        try:
            response = await self._call(recipient, message)
            moved_to = parameters_of(response).get("migrate_to_chat_id")
            if response.status == 400 and moved_to:
                response = await self._call(str(moved_to), message)
        except HttpFault as fault:
            return call_failed(fault)
        return _outcome(response, now)

    async def examine(self) -> str:
        """Checks the bot's token by getMe."""
        try:
            response = await self._client.request(
                "GET", f"{self._base}/bot{self._token}/getMe", headers={}, body=b""
            )
        except HttpFault as fault:
            return fault.detail
        if response.status == 200 and json_of(response).get("ok") is True:
            return ""
        return f"Telegram responds HTTP {response.status}: check the token"

    async def _call(self, chat: str, message: Mapping[str, Any]) -> Response:
        body = {
            "chat_id": chat if chat.startswith("@") else int(chat),
            "text": text_of(message),
            "parse_mode": "HTML",
        }
        if message.get("priority", 3) >= _QUIET_FROM:
            body["disable_notification"] = True
        return await self._client.request(
            "POST",
            f"{self._base}/bot{self._token}/sendMessage",
            headers={"Content-Type": "application/json"},
            body=json.dumps(body, ensure_ascii=False).encode(),
        )


def text_of(message: Mapping[str, Any]) -> str:
    """Returns the message as Telegram's HTML. The template's content is text, never markup."""
    title, body = str(message.get("title") or ""), str(message.get("body") or "")
    parts = (
        f"<b>{escape(title, quote=False)}</b>" if title else "",
        escape(body, quote=False),
        escape(link_of(message), quote=False),
    )
    return "\n".join(part for part in parts if part)


def _length(message: Mapping[str, Any]) -> int:
    plain = f"{message.get('title') or ''}\n{message.get('body') or ''}\n{link_of(message)}".strip()
    return len(plain.encode("utf-16-le")) // 2


def _outcome(response: Response, now: datetime) -> dict[str, Any]:
    found = json_of(response)
    if response.status != 200:
        return refused(response, now, **meaning_of(response, found))
    result = found.get("result")
    number = result.get("message_id") if isinstance(result, dict) else None
    if found.get("ok") is not True or not number:
        return unclear(response, "HTTP 200 without a message id: not Telegram, or cut off")
    return accepted(str(number), response)
