"""The meaning of the Bot API's errors: core.telegram.org/bots/api#making-requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from notifications.delivery.http_responses import json_of
from notifications.infra.http.client import Response

_GONE = re.compile(r"chat not found|user not found|PEER_ID_INVALID|group chat was deleted", re.I)


def parameters_of(response: Response) -> Mapping[str, Any]:
    """Returns the parameters of an error: how long to wait, or the chat's new id."""
    found = json_of(response).get("parameters")
    return found if isinstance(found, dict) else {}


def meaning_of(response: Response, found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what Telegram's error adds to the outcome of a refusal.

    Only Telegram's own error expires a chat: a proxy's 403 is not about the chat.
    """
    if response.status == 401:
        return {"error": "Telegram refuses the bot's token", "error_code": "auth", "retry": True}
    if found.get("ok") is not False:
        return {}
    text = str(found.get("description", ""))
    more: dict[str, Any] = {}
    if response.status == 403:
        more = {"error": "Telegram: forbidden", "error_code": "blocked", "recipient_dead": True}
    elif response.status == 400 and _GONE.search(text):
        more = {"error": "Telegram: no such chat", "error_code": "unknown_chat"}
        more["recipient_dead"] = True
    elif response.status == 404:
        more = {"error": "Telegram knows no such bot", "error_code": "auth", "retry": True}
    elif response.status == 429:
        wait_s = parameters_of(response).get("retry_after")
        if isinstance(wait_s, int | float):
            more = {"retry_after": float(wait_s)}
    return more
